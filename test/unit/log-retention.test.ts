import { beforeEach, expect, test } from "vitest";
import { LogRetention } from "../../src/actors/log-retention.ts";
import { systemScheduler } from "../../src/base/scheduler.ts";
import type { Log } from "../../src/storage/index.ts";

let trims: [partition: number, below: number][];
let usage: ReturnType<Log["usage"]>;
let nowMs: number;
/** What must stay, whatever partitions ask for. */
let keptFrom: number;

beforeEach(() => {
  trims = [];
  nowMs = 0;
  keptFrom = Infinity;
  const counts = { commits: 0, heldBackBy: [], fsyncs: 0, framesAppended: 0 };
  usage = { bytes: 0, bytesMax: 1000, fullShare: 0, bytesAppended: 0, ...counts };
});

function retention(logMs: number, logBytesMax: number): LogRetention {
  const log: Pick<Log, "usage" | "trim"> = {
    usage: () => usage,
    trim: (partition, below) => {
      trims.push([partition, below]);
      return Promise.resolve();
    },
  };
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  return new LogRetention({
    log,
    config: () => ({ logMs, logBytesMax }),
    keptFrom: () => Promise.resolve(keptFrom),
    clock,
    scheduler: systemScheduler,
  });
}

test("a floor takes effect when it is old enough, the oldest first", async () => {
  const kept = retention(100, 1000);
  await kept.add(1, 10);
  nowMs = 60;
  await kept.add(2, 20);
  expect(trims).toEqual([]);
  nowMs = 100;
  await kept.add(1, 30);
  expect(trims).toEqual([[1, 10]]);
  nowMs = 160;
  await kept.add(1, 40);
  expect(trims.slice(1)).toEqual([[2, 20]]);
  kept.stop();
});

test("or when so many bytes were appended since", async () => {
  const kept = retention(1e9, 100);
  await kept.add(1, 10);
  usage = { ...usage, bytesAppended: 100 };
  await kept.add(1, 20);
  expect(trims).toEqual([]);
  usage = { ...usage, bytesAppended: 101 };
  await kept.add(1, 30);
  expect(trims).toEqual([[1, 10]]);
  kept.stop();
});

test("or when the log is nearly full: then all do", async () => {
  const kept = retention(1e9, 1e9);
  await kept.add(1, 10);
  usage = { ...usage, fullShare: 0.76 };
  await kept.add(2, 20);
  expect(trims).toEqual([
    [1, 10],
    [2, 20],
  ]);
});

test("or when there is no room, whatever the log's size says", async () => {
  const kept = retention(1e9, 1e9);
  await kept.add(1, 10);
  expect(trims).toEqual([]);
  await kept.release();
  expect(trims).toEqual([[1, 10]]);
});

test("and without another floor, when its time has come", async () => {
  const kept = retention(1, 1000);
  await kept.add(1, 10);
  nowMs = 1;
  await expect.poll(() => trims).toEqual([[1, 10]]);
});

test("a floor below which something is kept is reached when it no longer is, without another one", async () => {
  const kept = retention(0, 1000);
  keptFrom = 5;
  await kept.add(1, 10);
  expect(trims).toEqual([[1, 5]]);
  keptFrom = Infinity;
  await expect.poll(() => trims.at(-1), { timeout: 10_000 }).toEqual([1, 10]);
  const { length } = trims;
  await kept.add(2, 20);
  expect(trims.slice(length)).toEqual([[2, 20]]);
  kept.stop();
});
