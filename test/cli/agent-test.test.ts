/** `caxton agent test`: what an author's own tests find, and what the author sees of them. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { EXIT } from "../../src/base/exit-codes.ts";
import { LAUNCHER } from "../support/server.ts";
import { fixturePath, manifest } from "../support/wire.ts";

const root = mkdtempSync(join(tmpdir(), "caxton-agent-test-"));
afterAll(() => rmSync(root, { recursive: true }));

function agentTest(name: string, files: Record<string, string>) {
  const folder = join(root, name);
  mkdirSync(folder);
  copyFileSync(fixturePath("adder"), join(folder, "adder.wasm"));
  writeFileSync(join(folder, "agent.yaml"), manifest("adder"));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  // The data of its nodes lies here too, so that what is left over is seen.
  const env = { ...process.env, TMPDIR: root, NO_COLOR: "1" };
  return spawnSync(LAUNCHER, ["agent", "test", folder], { env, encoding: "utf8" });
}

const GOOD = `
import { assert, startNode, test } from "caxton/test";

const to = "default/adder/a";

test("replies, state and failures", async (t) => {
  const node = await startNode();
  t.after(() => node.stop());
  await assert.rejects(node.ask(to, "1"), { code: "AGENT_NOT_FOUND" });
  await node.deploy(".");
  await node.send(to, "40");
  const reply = await node.ask(to, "2");
  assert.equal(reply.text, "42 2");
  assert.equal(reply.sender, to);
  assert.equal((await node.state(to, "total"))?.text, "42 2");
  assert.equal(await node.state(to, "none"), undefined);
  assert.equal(await node.state("default/adder/nobody", "total"), undefined);
});

test("a restart is a crash: what was acknowledged stays, and all happens once", async (t) => {
  const node = await startNode();
  t.after(() => node.stop());
  await node.deploy(".");
  const ids = Array.from({ length: 50 }, (_, n) => \`id-\${n}\`);
  const asked = ids.map((id) => node.ask(to, "1", { id }).then(() => "ok", (error) => error.code));
  await asked[0];
  await node.restart();
  for (const outcome of await Promise.all(asked)) assert.match(outcome, /^(ok|UNAVAILABLE)$/);
  await Promise.all(ids.map((id) => node.ask(to, "1", { id })));
  assert.equal((await node.ask(to, "0")).text, "50 51");
});
`;

const FAILING = `
import { assert, test } from "caxton/test";

test("two and two", () => assert.equal(2 + 2, 5));
`;

test("tests have nodes of their own, and nothing is left of them", () => {
  const { stdout, status } = agentTest("good", { "adder.test.ts": GOOD });
  expect(stdout).toMatch(/pass 2\n[^]*fail 0\n/);
  expect(status).toBe(EXIT.ok);
  expect(readdirSync(root)).toEqual(["good"]);
});

test("a failed test is shown and is the exit code", () => {
  const { stdout, status } = agentTest("failing", { "sum.test.ts": FAILING });
  expect(stdout).toMatch(/two and two[^]*fail 1\n/);
  expect(status).toBe(1);
});

test("a folder without tests is told", () => {
  const { stderr, status } = agentTest("none", {});
  expect(status).toBe(EXIT.usage);
  expect(stderr).toContain("holds no tests");
});
