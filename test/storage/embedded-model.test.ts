/** Random appends, trims, reads and restarts against a model that is a few arrays. */
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Storage } from "../../src/storage/index.ts";
import { frameOf } from "./frames.ts";
import { collect, openSmall, SMALL_SEGMENT_BYTES, temporaryDirectory } from "./support.ts";

const PARTITIONS = 3;
/** More than the longest run writes: a full log is another test. */
const SIZE = { sizeBytesMax: 256 * SMALL_SEGMENT_BYTES };

type Step =
  | { kind: "append"; frames: { partition: number; bytes: number }[] }
  | { kind: "trim"; partition: number; keep: number }
  | { kind: "read"; partition: number; from: number }
  | { kind: "restart"; clean: boolean };

const partition = fc.nat(PARTITIONS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      frames: fc.array(
        fc.record({ partition, bytes: fc.oneof(fc.nat(60), fc.nat(3_000), fc.nat(12_000)) }),
        { minLength: 1, maxLength: 8 },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("trim" as const), partition, keep: fc.nat(4) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("read" as const), partition, from: fc.nat(12) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("restart" as const), clean: fc.boolean() }),
  },
);

/** What the log must hold; `kept` is the lowest sequence it must still have. */
interface Model {
  readonly last: number[];
  readonly kept: number[];
  /** Size of the frame of `partition sequence`. */
  readonly bytes: Map<string, number>;
}

async function append(storage: Storage, model: Model, step: Step & { kind: "append" }) {
  const asked = step.frames.map(async ({ partition, bytes }) => {
    const expected = model.last[partition]!;
    const sequence = expected + 1;
    model.last[partition] = sequence;
    model.bytes.set(`${partition} ${sequence}`, bytes);
    const frame = frameOf(`${partition} ${sequence}`, bytes);
    expect(await storage.log.append(partition, expected, frame, 1)).toEqual({
      kind: "acked",
      sequence,
    });
  });
  await Promise.all(asked);
}

async function check(storage: Storage, model: Model, partition: number, from: number) {
  const last = model.last[partition]!;
  expect(await storage.log.lastSequence(partition)).toBe(last);
  const records = await collect(storage.log.scan(partition, from));
  const sequences = records.map((record) => record.sequence);
  const first = sequences[0] ?? last + 1;
  // Trimmed frames may still be there, but nothing that was kept is missing, and there is no gap.
  expect(first).toBeLessThanOrEqual(Math.max(from, model.kept[partition]!));
  expect(sequences).toEqual(Array.from({ length: last + 1 - first }, (_, i) => first + i));
  for (const { sequence, frame } of records) {
    const name = `${partition} ${sequence}`;
    expect(Buffer.compare(frame, frameOf(name, model.bytes.get(name)!))).toBe(0);
  }
  const ranges = records.map(({ sequence, frame }) => {
    const offset = Math.min(3, frame.length);
    return { sequence, offset, length: Math.min(50, frame.length - offset) };
  });
  const parts = await storage.log.readRanges(partition, ranges.reverse());
  for (const [i, { sequence, offset, length }] of ranges.entries()) {
    const name = `${partition} ${sequence}`;
    const whole = frameOf(name, model.bytes.get(name)!);
    expect(Buffer.compare(parts[i]!, whole.subarray(offset, offset + length))).toBe(0);
  }
}

test("the log does what its model does, over clean stops and kills", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const root = await temporaryDirectory();
      let directory = join(root, "0");
      let storage = await openSmall(directory, SIZE);
      const zeros = () => Array.from({ length: PARTITIONS }, () => 0);
      const model: Model = { last: zeros(), kept: zeros().map(() => 1), bytes: new Map() };
      for (const [i, step] of steps.entries()) {
        if (step.kind === "append") await append(storage, model, step);
        else if (step.kind === "trim") {
          const below = Math.max(1, model.last[step.partition]! - step.keep);
          model.kept[step.partition] = Math.max(model.kept[step.partition]!, below);
          await storage.log.trim(step.partition, below);
        } else if (step.kind === "read") await check(storage, model, step.partition, step.from + 1);
        else {
          // A copy of the files of a running server is what a kill leaves.
          const next = step.clean ? directory : join(root, String(i + 1));
          if (step.clean) await storage.close();
          else await cp(directory, next, { recursive: true });
          if (!step.clean) await storage.close();
          directory = next;
          storage = await openSmall(directory, SIZE);
          expect(storage.opening).toMatchObject({ clean: step.clean, tornBytesCut: 0 });
        }
      }
      for (let partition = 0; partition < PARTITIONS; partition++) {
        await check(storage, model, partition, 1);
      }
      await storage.close();
      await rm(root, { recursive: true });
    }),
    { numRuns: 25 },
  );
}, 90_000);
