import { describe, expect, test } from "vitest";
import { PartitionIndex } from "../../src/storage/jetstream/partition-index.ts";

/** `[stream sequence, epoch, number]`; without a number, an epoch frame. */
type Message = readonly [number, number, number?];

function indexOf(...messages: Message[]): PartitionIndex {
  const index = new PartitionIndex(5);
  for (const [streamSequence, epoch, sequence] of messages) {
    index.add({ streamSequence, epoch, sequence, bytes: 10 });
  }
  return index;
}

const placesOf = (index: PartitionIndex): (number | undefined)[] =>
  Array.from({ length: index.last - index.first + 1 }, (_, i) => {
    return index.place(index.first + i)?.streamSequence;
  });

describe("numbering", () => {
  test("frames are dense whatever lies between them in the stream", () => {
    const index = indexOf([3, 1], [4, 1, 2], [9, 1, 3]);
    expect([index.first, index.last, index.newestMessage, index.epoch]).toEqual([1, 3, 9, 1]);
    expect(placesOf(index)).toEqual([3, 4, 9]);
    expect(index.sequenceAt(9)).toBe(3);
    expect(index.sequenceAt(5)).toBeUndefined();
    expect(index.place(4)).toBeUndefined();
    expect(index.place(0)).toBeUndefined();
  });

  test("a message that is known already changes nothing", () => {
    const index = indexOf([3, 1], [4, 1, 2], [3, 1], [4, 1, 2]);
    expect(placesOf(index)).toEqual([3, 4]);
  });

  test("an epoch frame behind a higher epoch takes no number but is the newest message", () => {
    const index = indexOf([1, 1], [2, 3], [5, 2], [6, 1]);
    expect([index.last, index.newestMessage, index.epoch]).toEqual([2, 6, 3]);
    expect(index.sequenceAt(5)).toBeUndefined();
    index.add({ streamSequence: 8, epoch: 3, sequence: 3, bytes: 10 });
    expect(placesOf(index)).toEqual([1, 2, 8]);
  });

  test("where older frames are gone the first that is left says its number", () => {
    const index = indexOf([70, 4, 31], [71, 5], [75, 5, 33]);
    expect([index.first, index.last]).toEqual([31, 33]);
  });

  test.each([
    ["a number is missing", [1, 1, 1], [2, 1, 3]],
    ["a number is there twice", [1, 1, 1], [2, 1, 1]],
    ["a numbered frame follows a higher epoch", [1, 2, 1], [2, 1, 2]],
  ] as [string, Message, Message][])("%s: the log is damaged", (_, ...messages) => {
    expect(() => indexOf(...messages)).toThrow("The log of partition 5 is damaged");
  });
});

describe("trimming", () => {
  test("what is below the place goes, the numbers stay", () => {
    const index = indexOf([2, 1, 1], [4, 1, 2], [6, 1, 3]);
    expect([index.bytesBelow(6), index.bytesFrom(6), index.bytesFrom(7)]).toEqual([20, 10, 0]);
    index.dropBelow(5);
    expect([index.first, index.last, index.bytesBelow(6)]).toEqual([3, 3, 0]);
    expect(placesOf(index)).toEqual([6]);
  });

  test("the first message that stays must say its number", () => {
    const index = indexOf([2, 1, 1], [4, 2], [6, 2, 3], [8, 1], [10, 2, 4]);
    // In front of the epoch frame at 4 only the frame at 2 does.
    expect(index.floorUpTo(3)).toBe(2);
    expect(index.floorUpTo(4)).toBe(2);
    expect(index.floorUpTo(5)).toBe(5);
    // The void frame at 8 would pass for a valid one if it were the first.
    expect(index.floorUpTo(7)).toBe(6);
    expect(index.floorUpTo(9)).toBe(9);
  });

  test("an epoch frame with nothing before it stays the first", () => {
    const index = indexOf([3, 1], [5, 1, 2]);
    expect(index.floorUpTo(2)).toBe(2);
    expect(index.floorUpTo(3)).toBe(3);
    const two = indexOf([3, 1], [4, 2], [5, 2, 3]);
    expect(two.floorUpTo(4)).toBe(3);
  });

  test("an index built from what a floor left numbers as before", () => {
    const messages: Message[] = [
      [2, 1],
      [4, 1, 2],
      [6, 2],
      [7, 1],
      [8, 2, 4],
      [9, 3],
      [11, 3, 6],
    ];
    const whole = indexOf(...messages);
    for (let wanted = 1; wanted <= 12; wanted++) {
      const floor = whole.floorUpTo(wanted);
      expect(floor).toBeLessThanOrEqual(wanted);
      const left = indexOf(...messages.filter(([streamSequence]) => streamSequence >= floor));
      if (left.newestMessage === 0) continue;
      expect(left.last).toBe(whole.last);
      for (let n = left.first; n <= left.last; n++) {
        expect(left.place(n)?.streamSequence).toBe(whole.place(n)?.streamSequence);
      }
    }
  });
});
