/** Components beyond the conformance suite. */
import { expect, test } from "vitest";
import { deployCommitted } from "./probes.ts";
import { Solo } from "./solo.ts";

test("a component for WASI preview 1 gets it from the host, without its adapter", async () => {
  const loaded = await deployCommitted("test/agents/fixtures/wasi-component/agent.wasm");
  const modules = WebAssembly.Module.imports(loaded.module).map(({ module }) => module);
  expect(new Set(modules)).toEqual(new Set(["caxton:agent/host@0.1.0", "wasi_snapshot_preview1"]));
  const solo = new Solo(loaded);
  solo.nowMs = 1_700_000_000_999;
  const printed = (level: number): string => {
    const { logs } = solo.deliver({ content: "to stderr" });
    return logs.map(([at, text]) => (at === level ? text : "")).join("");
  };
  expect(printed(3)).toBe("to stderr\n");
  const chance = printed(1);
  expect(chance).toMatch(/^chance \d+\n$/);
  expect(printed(1)).toBe(chance);
  solo.seed++;
  expect(printed(1)).not.toBe(chance);
  const [reply] = solo.deliver({ content: "" }).effects;
  if (reply?.kind !== "reply") throw new Error("no reply");
  expect(Buffer.from(reply.message.content).toString()).toBe("1700000000");
});
