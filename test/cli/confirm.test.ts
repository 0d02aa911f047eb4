import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { confirm } from "../../cli/confirm.ts";
import { Declined } from "../../cli/usage-error.ts";

function terminal(isTTY: boolean) {
  const input = Object.assign(new PassThrough(), { isTTY });
  const output = Object.assign(new PassThrough(), { isTTY });
  return { input, output };
}

test.each(["y", "Yes"])("%s is yes", async (answer) => {
  const { input, output } = terminal(true);
  let shown = "";
  output.on("data", (chunk: Buffer) => (shown += chunk.toString()));
  input.write(`${answer}\n`);
  await confirm("Sure?", { yes: false }, { input, output });
  expect(shown).toContain("Sure? [y/N]");
});

test.each(["", "n", "yellow"])("%j is no", async (answer) => {
  const streams = terminal(true);
  streams.input.write(`${answer}\n`);
  await expect(confirm("Sure?", { yes: false }, streams)).rejects.toThrow(Declined);
});

test("an input that ends is no", async () => {
  const streams = terminal(true);
  streams.input.end();
  await expect(confirm("Sure?", { yes: false }, streams)).rejects.toThrow(Declined);
});

test("nobody is asked who said --yes, or who is no person", async () => {
  const sure = terminal(true);
  await confirm("Sure?", { yes: true }, sure);
  const script = terminal(false);
  await confirm("Sure?", { yes: false }, script);
  expect([sure.output.read(), script.output.read()]).toEqual([null, null]);
});
