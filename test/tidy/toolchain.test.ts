import { expect, test } from "vitest";
import { isText, listFiles, readText } from "./files.ts";

interface Packages {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
}

const packages = JSON.parse(readText("package.json")) as Packages;

test("every Node package has the version that runs these tests", () => {
  const versions = Object.entries(packages.optionalDependencies)
    .filter(([name]) => /^node-/.test(name))
    .map(([, version]) => `v${version}`);
  expect(versions).toHaveLength(4);
  expect(new Set(versions)).toEqual(new Set([process.version]));
});

test("packages are pinned to exact versions", () => {
  const all = {
    ...packages.dependencies,
    ...packages.devDependencies,
    ...packages.optionalDependencies,
  };
  const loose = Object.entries(all).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  );
  expect(loose).toEqual([]);
});

test("the lock file names no host that packages come from", () => {
  expect(readText("package-lock.json")).not.toContain('"resolved": "http');
});

test("generated files say so at their head", () => {
  const generated = listFiles().filter(
    (path) => /^(src\/gen|docs\/generated)\//.test(path) && isText(path),
  );
  const unmarked = generated.filter((path) => !/generated/i.test(readText(path).slice(0, 400)));
  expect(unmarked).toEqual([]);
});
