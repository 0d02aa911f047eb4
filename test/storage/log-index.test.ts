import { expect, test } from "vitest";
import { LogIndex } from "../../src/storage/embedded/log-index.ts";

const place = (segment: number, offset = 0) => ({ segment, offset, length: 10, crc: offset });
const keysIn = (index: LogIndex, segment: number) => [...index.framesIn(segment)];

test("copies whose originals are gone are put before the frames they precede", () => {
  const index = new LogIndex();
  // As read from a log whose segment 1 is trimmed: 3 and 4 lie where they were written.
  index.append(0, 3, place(2));
  index.append(0, 4, place(3));
  index.rebuildMove(0, 1, place(4, 1));
  index.rebuildMove(0, 2, place(4, 2));
  index.append(0, 5, place(5));
  index.finishRebuild();
  expect([index.first(0), index.last(0)]).toEqual([1, 5]);
  expect(index.place(0, 2)).toEqual(place(4, 2));
  expect(index.place(0, 3)).toEqual(place(2));
  expect(index.live(4)).toEqual({ frames: 2, bytes: 20 });
  // The oldest segment's frames are found behind the copies.
  expect(keysIn(index, 2)).toEqual([{ partition: 0, sequence: 3 }]);
});

test("copies that no longer connect to the newest frames were trimmed", () => {
  const index = new LogIndex();
  index.rebuildMove(0, 5, place(4));
  index.append(0, 20, place(5));
  index.rebuildMove(1, 7, place(4));
  index.finishRebuild();
  expect([index.first(0), index.last(0)]).toEqual([20, 20]);
  expect([index.first(1), index.last(1)]).toEqual([7, 7]);
  expect(index.append(1, 8, place(6))).toBe(true);
  expect(index.append(1, 10, place(6))).toBe(false);
});

test("dropping counts segments down and reuses the room", () => {
  const index = new LogIndex();
  for (let sequence = 1; sequence <= 10_000; sequence++) {
    index.append(0, sequence, place(Math.ceil(sequence / 100), sequence));
    if (sequence % 100 === 50) index.dropBelow(0, sequence - 60);
  }
  expect(index.first(0)).toBe(9_890);
  expect(index.live(98)).toEqual({ frames: 0, bytes: 0 });
  expect(index.live(99)).toEqual({ frames: 11, bytes: 110 });
  expect(index.place(0, 9_889)).toBeUndefined();
  for (let sequence = 9_890; sequence <= 10_000; sequence++) {
    expect(index.place(0, sequence)?.offset).toBe(sequence);
  }
  index.dropBelow(0, 1_000_000);
  expect([index.first(0), index.last(0)]).toEqual([10_000, 10_000]);
});
