import { expect, test } from "vitest";
import { listFiles } from "./files.ts";

const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$/;
/** Names that tools and people look for as they are. */
const CUSTOMARY = new Set(["README.md", "LICENSE", "SHA256SUMS"]);

function isTidy(path: string): boolean {
  const parts = path.split("/");
  const name = parts.pop()!;
  // protoc wants snake_case, and what is generated from it follows.
  if (path.startsWith("proto/") || path.startsWith("src/gen/")) return /^[a-z0-9_.]+$/.test(name);
  return (
    (CUSTOMARY.has(name) || name.startsWith(".") || KEBAB.test(name)) &&
    parts.every((folder) => folder.startsWith(".") || KEBAB.test(folder))
  );
}

test("files and folders have kebab-case names", () => {
  expect(listFiles().filter((path) => !isTidy(path))).toEqual([]);
});

test.each(["src/Frame.ts", "src/frame_codec.ts", "src/frameCodec.ts", "docs/My Page.md"])(
  "%s would be noticed",
  (path) => {
    expect(isTidy(path)).toBe(false);
  },
);
