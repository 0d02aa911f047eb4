/** What every engine must do when its log is full: whatever makes room in it is still taken. */
import { expect, test } from "vitest";
import type { AppendOutcome, Storage } from "../../../src/storage/index.ts";
import { frameOf } from "../../storage/frames.ts";
import { codeOf, fillLog } from "../../storage/support.ts";
import type { StorageUnderTest } from "./storage-contract.ts";

/** An engine whose log is soon full, and sizes that suit it. */
export interface SmallLog {
  open(): Promise<StorageUnderTest>;
  readonly frameBytes: number;
  readonly checkpointBytes: number;
  readonly begunBytes: number;
  /** What is left for checkpoints when what was begun has its part. */
  readonly restBytes: number;
  readonly trimmedShareMax: number;
}

const ackedAt = (sequence: number) => ({ kind: "acked", sequence });

export function fullContract(small: SmallLog): void {
  /** To the last byte; gives the last sequence. */
  async function fillUp(storage: Storage): Promise<number> {
    await fillLog(storage, 0, small.frameBytes);
    await fillLog(storage, 0, small.frameBytes / 16);
    return fillLog(storage, 0, 0);
  }

  test("frames that make room are taken where others are not, over starts", async () => {
    const under = await small.open();
    let { storage } = under;
    let last = await fillUp(storage);
    for (let epoch = 2; epoch < 5; epoch++) {
      const { log } = storage;
      expect(log.usage().fullShare).toBeGreaterThan(0.9);
      expect(await log.append(0, null, frameOf("epoch", 200), epoch)).toEqual(ackedAt(last + 1));
      const ordinary = log.append(0, last + 1, frameOf("f", 10), epoch);
      expect(await codeOf(ordinary)).toBe("STORAGE_FULL");
      const naming = frameOf("checkpoint", small.checkpointBytes);
      const named = await log.append(0, last + 1, naming, epoch, "reserve");
      expect(named).toEqual(ackedAt(last + 2));
      last += 2;
      storage = await under.reopen();
    }
    await storage.log.trim(0, last);
    expect(storage.log.usage().fullShare).toBeLessThan(small.trimmedShareMax);
    expect(await fillLog(storage, 0, small.frameBytes, 5)).toBeGreaterThan(last + 6);
  });

  test("what was begun has most of the room of frames that make room", async () => {
    const { storage } = await small.open();
    let last = await fillUp(storage);
    const begun = (): Promise<AppendOutcome> =>
      storage.log.append(0, last, frameOf("begun", small.begunBytes), 1, "begun");
    expect(await begun()).toEqual(ackedAt(last + 1));
    last++;
    while ((await codeOf(begun())) === "resolved") last++;
    const rest = frameOf("checkpoint", small.restBytes);
    expect(await storage.log.append(0, last, rest, 1, "reserve")).toEqual(ackedAt(last + 1));
  });
}
