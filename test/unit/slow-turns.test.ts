import { expect, test } from "vitest";
import { SlowTurns } from "../../src/actors/slow-turns.ts";
import { createLog } from "../../src/base/log.ts";

function turn(agent: string, message: string) {
  return { agent, actor: `${agent}/a`, message, fuel: 7, tookMs: 101 };
}

test("an agent is warned about once in ten seconds, and then with what was left out", () => {
  const log = createLog({ level: "silent", format: "json" });
  const lines: unknown[] = [];
  log.warn = (fields: unknown) => void lines.push(fields);
  let nowMs = 1000;
  const slow = new SlowTurns({ log, nowMs: () => nowMs });
  slow.warn([turn("x/one", "1"), turn("x/one", "2"), turn("x/two", "3")]);
  nowMs += 9_999;
  slow.warn([turn("x/one", "4")]);
  nowMs += 1;
  slow.warn([turn("x/one", "5"), turn("x/one", "6"), turn("x/two", "7")]);
  expect(lines).toEqual([
    { actor: "x/one/a", message: "1", fuel: 7, tookMs: 101 },
    { actor: "x/two/a", message: "3", fuel: 7, tookMs: 101 },
    { actor: "x/one/a", message: "5", fuel: 7, tookMs: 101, omitted: 2 },
    { actor: "x/two/a", message: "7", fuel: 7, tookMs: 101 },
  ]);
});
