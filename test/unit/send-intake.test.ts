/** Where a reader of the stream of sends goes on, and up to where it is done: the rest must not be trimmed. */
import type { StreamPlace } from "../../src/actors/kernel.ts";
import type { JsMsg } from "@nats-io/jetstream";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemScheduler } from "../../src/base/scheduler.ts";
import { Seldom } from "../../src/base/seldom.ts";
import { SendIntake, type SendIntakeOptions } from "../../src/api/nats/send-intake.ts";

/** What a consumer delivers, in the order of the stream. */
class Delivery {
  private readonly waiting: JsMsg[] = [];
  private wake: (() => void) | undefined;
  private isOver = false;
  private count = 0;

  deliver(n: number, partition: number): void {
    const subject = `_caxton.test.send.${partition}.default.sequence.a`;
    const timestampNanos = (stored.get(n)!.storedS + 0.5) * 1e9;
    const info = { deliverySequence: ++this.count, timestampNanos };
    this.waiting.push({ seq: n, subject, data: Buffer.from("x"), info } as unknown as JsMsg);
    this.wake?.();
  }

  stop(): void {
    this.isOver = true;
    this.wake?.();
  }

  close(): Promise<void> {
    this.stop();
    return Promise.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<JsMsg> {
    while (!this.isOver) {
      const next = this.waiting.shift();
      if (next === undefined) await new Promise<void>((resolve) => (this.wake = resolve));
      else yield next;
    }
  }
}

interface Stored {
  readonly partition: number;
  readonly storedS: number;
}

/** What the stream has. */
const stored = new Map<number, Stored>();
let nowS: number;
/** How far the partitions are. */
const places = new Map<number, StreamPlace>();
let begun: Delivery[];
let startedFrom: number[];
let offered: number[];
let intake: SendIntake;

const INCARNATION = 7;

const until = (isSo: () => boolean) => expect.poll(isSo, { interval: 1 }).toBe(true);
const last = () => Math.max(0, ...stored.keys());

beforeEach(async () => {
  stored.clear();
  nowS = 1_700_000_000;
  for (const partition of [0, 1]) placeAt(partition, 0);
  begun = [];
  startedFrom = [];
  offered = [];
  const options: Partial<SendIntakeOptions> = {
    name: "intake",
    stream: "SEND",
    partitions: [0, 1],
    client: "nats",
    payloadBytesMax: 1024,
    scheduler: systemScheduler,
    log: pino({ enabled: false }),
    warnings: new Seldom(1000),
    ready: () => Promise.resolve(),
    state: () => Promise.resolve({ incarnation: INCARNATION, first: 1, last: last() }),
    storedS: (n) => Promise.resolve(stored.get(n)?.storedS),
    firstSince: (partition, seconds) =>
      Promise.resolve(
        [...stored]
          .filter(([, each]) => each.partition === partition && each.storedS >= seconds)
          .map(([n]) => n)[0],
      ),
    inputOf: ({ receiver, content }) => ({ receiver, content, client: "nats" }),
    consumerFrom: (start) => {
      startedFrom.push(start);
      begun.push(new Delivery());
      return Promise.resolve(`consumer-${begun.length}`);
    },
    remove: () => Promise.resolve(),
    hasAfter: (partition, n) =>
      Promise.resolve([...stored].some(([seq, of]) => of.partition === partition && seq > n)),
    jetstream: {
      consumers: { get: async () => ({ consume: async () => begun.at(-1)! }) },
    } as unknown as SendIntakeOptions["jetstream"],
    kernel: {
      place: (partition) => Promise.resolve(places.get(partition)!),
      begin: (partition, incarnation, n) => {
        expect(incarnation).toBe(INCARNATION);
        return Promise.resolve(placeAt(partition, n, places.get(partition)!.upToS));
      },
      offer: (partition, { n, storedS }) => {
        offered.push(n);
        placeAt(partition, n, storedS);
      },
      refuse: () => undefined,
      disposed: () => undefined,
      giveUp: () => undefined,
    },
  };
  intake = new SendIntake(options as SendIntakeOptions);
  intake.start();
  await until(() => begun.length === 1);
});

afterEach(async () => {
  await intake.stop();
});

function placeAt(partition: number, upTo: number, upToS = 0): StreamPlace {
  const place = { incarnation: INCARNATION, upTo, upToS, floor: upTo };
  places.set(partition, place);
  return place;
}

function store(n: number, partition: number): void {
  stored.set(n, { partition, storedS: nowS });
}

/** A loss of power, and the time until the server is there again. */
function loseFrom(n: number): void {
  for (const each of [...stored.keys()]) if (each >= n) stored.delete(each);
  nowS += 5;
}

async function take(n: number): Promise<void> {
  begun.at(-1)!.deliver(n, stored.get(n)!.partition);
  await until(() => offered.includes(n));
}

test("what was not read is not done with, whatever the consumers know", async () => {
  for (let n = 1; n <= 4; n++) store(n, n % 2);
  await take(1);
  await take(2);
  intake.settled([1, 2]);
  expect(await intake.floor(last())).toBe(2);
  await take(3);
  await take(4);
  intake.settled([4]);
  expect(await intake.floor(last())).toBe(2);
  intake.settled([3]);
  expect(await intake.floor(last())).toBe(4);
});

test("messages of other readers' partitions are nobody's to wait for", async () => {
  store(1, 0);
  await take(1);
  intake.settled([1]);
  for (let n = 2; n <= 9; n++) store(n, 2);
  expect(await intake.floor(last())).toBe(9);
  store(10, 1);
  expect(await intake.floor(last())).toBe(9);
});

test("what a lost worker had in hand is not done with, though other partitions are further", async () => {
  for (let n = 1; n <= 6; n++) store(n, n <= 3 ? 0 : 1);
  for (let n = 1; n <= 6; n++) await take(n);
  intake.settled([1]);
  intake.lost([0]);
  placeAt(0, 1, nowS);
  expect(await intake.floor(last())).toBe(0);
  await until(() => begun.length === 2);
  expect(await intake.floor(last())).toBe(1);
  offered = [];
  for (const n of [2, 3]) await take(n);
  intake.settled([2, 3]);
  expect(await intake.floor(last())).toBe(3);
});

async function readAnew(): Promise<void> {
  const before = begun.length;
  intake.reset();
  await until(() => begun.length > before);
  offered = [];
}

test("a reader that begins again goes on where it was", async () => {
  for (let n = 1; n <= 4; n++) store(n, n % 2);
  for (let n = 1; n <= 4; n++) await take(n);
  store(5, 1);
  nowS++;
  store(6, 0);
  await readAnew();
  expect(startedFrom).toEqual([1, 4]);
  for (const n of [5, 6]) await take(n);
  expect(offered).toEqual([5, 6]);
});

test("a leader whose clock is behind stores no message that was met before", async () => {
  store(1, 0);
  nowS += 3;
  store(2, 0);
  nowS -= 3;
  store(3, 0);
  for (let n = 1; n <= 3; n++) await take(n);
  await readAnew();
  expect(places.get(0)!.upTo).toBe(3);
});

test.each([
  ["fewer new messages than it lost", 4, 2],
  ["as many new messages as it lost", 4, 3],
  ["more new messages than it lost", 2, 9],
  ["new messages after it had lost all", 1, 6],
])("of a stream that got %s each is read", async (_, lostFrom, anew) => {
  for (let n = 1; n <= 6; n++) store(n, n % 2);
  for (let n = 1; n <= 6; n++) await take(n);
  loseFrom(lostFrom);
  for (let n = lostFrom; n < lostFrom + anew; n++) store(n, n % 2);
  await readAnew();
  expect(startedFrom).toEqual([1, lostFrom]);
  for (let n = lostFrom; n < lostFrom + anew; n++) await take(n);
  expect(offered).toEqual(Array.from({ length: anew }, (_, i) => lostFrom + i));
});

test("a stream that loses its end again before anything new came to a partition is read", async () => {
  for (let n = 1; n <= 6; n++) store(n, 0);
  for (let n = 1; n <= 6; n++) await take(n);
  loseFrom(5);
  await readAnew();
  expect(places.get(0)!.upTo).toBe(4);
  loseFrom(3);
  for (let n = 3; n <= 5; n++) store(n, 0);
  await readAnew();
  expect(places.get(0)!.upTo).toBe(2);
});
