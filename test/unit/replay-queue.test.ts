/** Which actors come back first, and whose frames are in memory for them. */
import { expect, test } from "vitest";
import { type Actor, IDLE, RECOVERING } from "../../src/actors/partition/actor.ts";
import { TurnIndex, TurnLog, logPosition } from "../../src/actors/partition/turn-index.ts";
import { type ReplayJob, ReplayQueue } from "../../src/actors/replay-queue.ts";
import { TailFrames } from "../../src/actors/tail-frames.ts";
import type { FrameRange } from "../../src/storage/index.ts";

const FRAMES = 10;
const FRAME_BYTES = 10_000;
/** For the frames of one partition. */
const ROOM_BYTES = 15 * FRAME_BYTES;

/** Partitions a, b, ... with actors a0 to a3. The first two have turns in all of the partition's frames, the others in few. */
class Bench {
  nowMs = 0;
  /** Frames on their way, to be handed over. */
  readonly reads: (() => void)[] = [];
  private readonly jobs = new Map<string, ReplayJob>();
  private readonly back = new Set<Actor>();
  private readonly tail = new TailFrames(ROOM_BYTES);
  private readonly queue = new ReplayQueue(
    {
      read: (_partition: number, ranges: readonly FrameRange[], done: (p: Buffer[]) => void) => {
        this.reads.push(() => {
          done(ranges.map(({ length }) => Buffer.alloc(length)));
        });
      },
      monotonicMs: () => this.nowMs,
      more: () => undefined,
    },
    this.tail,
  );

  /** Recovery has met their frames, and nobody calls their actors. */
  constructor(...partitions: readonly string[]) {
    for (const [id, name] of partitions.entries()) {
      for (let n = 1; n <= FRAMES; n++) this.tail.add(id, n, Buffer.alloc(FRAME_BYTES));
      const warm = (actor: Actor): boolean => !this.back.has(actor);
      const jobs = [FRAMES, FRAMES, 2, 2].map((count, i) => {
        const turns = new TurnIndex(new TurnLog());
        for (let n = 1; n <= count; n++) turns.add(logPosition(n, 50), logPosition(n, 100), 10);
        const job = {
          processor: { id, state: { logFloor: 1 }, warm },
          actor: { turns, phase: IDLE },
        };
        this.jobs.set(`${name}${i}`, job as unknown as ReplayJob);
        return job as unknown as ReplayJob;
      });
      this.queue.addBackground(jobs[0]!.processor, jobs);
    }
  }

  /** Its partition knows that it is wanted. */
  expectCall(name: string): void {
    const { actor } = this.jobs.get(name)!;
    Object.assign(actor, { phase: RECOVERING, hasMemory: true });
  }

  review(): void {
    this.queue.review();
  }

  call(name: string): void {
    this.queue.call(this.jobs.get(name)!);
  }

  /** Those that are taken in hand until there is none. */
  take(most = Infinity): string {
    const names = new Map([...this.jobs].map(([name, { actor }]) => [actor, name]));
    const taken: string[] = [];
    while (taken.length < most) {
      const job = this.queue.next();
      if (job === undefined) break;
      taken.push(names.get(job.actor)!);
    }
    return taken.join(" ");
  }

  finish(names: string): void {
    for (const name of names.split(" ")) {
      const job = this.jobs.get(name)!;
      this.back.add(job.actor);
      Object.assign(job.actor, { phase: IDLE });
      this.queue.done(job);
    }
  }

  answerReads(): void {
    for (let read = this.reads.shift(); read !== undefined; read = this.reads.shift()) read();
  }
}

test("those nobody calls come partition by partition, the next one's frames when the last are done", () => {
  const bench = new Bench("a", "b");
  expect(bench.take()).toBe("a0 a1 a2 a3");
  expect(bench.reads).toHaveLength(0);
  bench.finish("a0 a1 a2 a3");
  expect(bench.reads).toHaveLength(1);
  expect(bench.take()).toBe("");
  bench.answerReads();
  expect(bench.take()).toBe("b0 b1 b2 b3");
});

test("a called actor comes before the others of its partition, and is in hand once", () => {
  const bench = new Bench("a");
  bench.call("a2");
  bench.call("a2");
  expect(bench.take()).toBe("a2 a0 a1 a3");
});

test("called actors whose frames have no room read them themselves, as long as that is few", () => {
  const bench = new Bench("a", "b");
  bench.call("b0");
  bench.call("b2");
  bench.call("b3");
  expect(bench.take()).toBe("b2 a0 a1 a2 a3");
  bench.finish("b2 a0 a1 a2 a3");
  bench.answerReads();
  expect(bench.take()).toBe("b0 b3 b1");
});

test("called actors wait for room for a while, then frames of actors that nobody calls make it", () => {
  const bench = new Bench("a", "b");
  bench.call("b1");
  expect(bench.take(1)).toBe("a0");
  bench.nowMs += 1000;
  // Nobody else of partition a comes in hand.
  expect(bench.take()).toBe("");
  expect(bench.reads).toHaveLength(0);
  bench.finish("a0");
  bench.answerReads();
  expect(bench.take()).toBe("b1 b0 b2 b3");
  bench.finish("b1 b0 b2 b3");
  bench.answerReads();
  expect(bench.take()).toBe("a1 a2 a3");
});

test("frames stay for actors whose call is on its way", () => {
  const bench = new Bench("a", "b");
  bench.expectCall("a3");
  expect(bench.take()).toBe("a0 a1 a2");
  bench.finish("a0 a1 a2");
  expect(bench.reads).toHaveLength(0);
  bench.call("a3");
  expect(bench.take()).toBe("a3");
  bench.finish("a3");
  bench.review();
  expect(bench.take()).toBe("");
  expect(bench.reads).toHaveLength(1);
});
