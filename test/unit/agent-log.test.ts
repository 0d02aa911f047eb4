import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { AgentLog } from "../../src/actors/agent-log.ts";
import type { AgentRecord } from "../../src/actors/agent-registry.ts";
import { type AgentLogFilter, type AgentLogLine, lineBytes } from "../../src/actors/watch.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { createLog } from "../../src/base/log.ts";
import { LineFiles } from "../../src/storage/index.ts";

const LINES_MAX = 10;
const filter: AgentLogFilter = { namespace: "default", name: "a", level: "debug" };

function line(number: number, address = "default/a/k", level = 1) {
  return { address, level, text: String(number).padStart(4, "0"), rolledBack: level === 3 };
}

function agentLog(files?: LineFiles) {
  const deployed = new Set(["default/a"]);
  const record = {} as AgentRecord;
  const find = (namespace: string, name: string) =>
    deployed.has(`${namespace}/${name}`) ? record : undefined;
  const get = (namespace: string, name: string) => {
    const found = find(namespace, name);
    if (found === undefined) throw new CaxtonError("AGENT_NOT_FOUND");
    return found;
  };
  const one = { ...line(0), timeMs: 0, level: "info" } as const;
  const log = new AgentLog({
    registry: { find, get },
    log: createLog({ level: "silent", format: "json" }),
    bytesMax: LINES_MAX * lineBytes(one),
    files,
    nowMs: () => 7,
  });
  return { log, deployed };
}

test("the newest lines stay within the bound, and the oldest go", () => {
  const { log } = agentLog();
  for (let n = 1; n <= 25; n++) log.append([line(n)]);
  const texts = log.read(filter, Infinity).map(({ text }) => Number(text));
  expect(texts).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
  expect(log.read(filter, 2).map(({ text }) => Number(text))).toEqual([24, 25]);
  expect(log.read(filter, 0)).toEqual([]);
});

test("by actor and by level", () => {
  const { log } = agentLog();
  log.append([line(1, "default/a/k", 0), line(2, "default/a/other", 3), line(3, "default/a/k", 3)]);
  const errors = { ...filter, address: "default/a/k", level: "warn" } as const;
  expect(log.read(errors, Infinity)).toEqual([
    { timeMs: 7, level: "error", address: "default/a/k", text: "0003", rolledBack: true },
  ]);
});

test("an agent that is gone takes no room once another begins to log", () => {
  const { log, deployed } = agentLog();
  log.append([line(1)]);
  deployed.clear();
  expect(() => log.read(filter, 1)).toThrow(CaxtonError);
  deployed.add("default/b");
  log.append([line(2, "default/b/k"), line(3)]);
  deployed.add("default/a");
  expect(log.read(filter, Infinity)).toEqual([]);
});

test("a subscriber gets what matches, and is cut off when it can't take more", () => {
  const { log } = agentLog();
  const got: AgentLogLine[] = [];
  let error: Error | undefined;
  log.subscribe({
    filter: { ...filter, level: "info" },
    deliver: (event) => got.push(event) < 2,
    drained: () => Promise.resolve(),
    closed: (why) => (error = why),
  });
  log.append([line(1, "default/a/k", 0), line(2, "default/ab/k"), line(3)]);
  expect(got.map(({ text }) => text)).toEqual(["0003"]);
  log.append([line(4), line(5)]);
  expect(got).toHaveLength(2);
  expect(error).toMatchObject({ code: "SUBSCRIBER_TOO_SLOW" });
});

describe("with files", () => {
  const directory = mkdtempSync(join(tmpdir(), "caxton-agent-log-"));
  afterAll(() => rmSync(directory, { recursive: true }));

  const open = () =>
    LineFiles.open({
      directory,
      bytesMax: 100_000,
      totalBytesMax: 1_000_000,
      lost: (lines, why) => {
        throw new Error(`${lines} lost`, { cause: why });
      },
    });

  test("lines of before are there again, within the bound, without those that are damaged", async () => {
    const files = await open();
    const { log } = agentLog(files);
    log.append([line(1), line(2, "default/a/k", 3)]);
    await files.close();
    const damaged = ["not JSON", '{"text": "no line"}', '{"timeMs":7,"level":"in'];
    appendFileSync(join(directory, "default.a.jsonl"), damaged.join("\n"));
    const again = await open();
    const { log: next } = agentLog(again);
    next.append([line(3)]);
    const lines = next.read(filter, Infinity);
    expect(lines.map(({ text }) => text)).toEqual(["0001", "0002", "0003"]);
    expect(lines[1]).toMatchObject({ level: "error", rolledBack: true, timeMs: 7 });
    for (let n = 4; n <= 25; n++) next.append([line(n)]);
    await again.close();
    const { log: last } = agentLog(await open());
    const texts = last.read(filter, Infinity).map(({ text }) => Number(text));
    expect(texts).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
  });

  test("those of agents that are gone go with the next start", async () => {
    const files = await open();
    files.append("default/gone", "{}");
    await files.close();
    const again = await open();
    agentLog(again);
    await again.close();
    expect(readdirSync(directory)).toEqual(["default.a.jsonl"]);
  });
});
