/** Up to where a reader of the stream of sends is done: the rest of the stream must not be trimmed. */
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
    const info = { deliverySequence: ++this.count };
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

/** Partition of each message that the stream has. */
const stored = new Map<number, number>();
let begun: Delivery[];
let offered: number[];
let intake: SendIntake;

const until = (isSo: () => boolean) => expect.poll(isSo, { interval: 1 }).toBe(true);
const last = () => Math.max(0, ...stored.keys());

beforeEach(async () => {
  stored.clear();
  begun = [];
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
    state: () => Promise.resolve({ incarnation: 7, last: last() }),
    inputOf: ({ receiver, content }) => ({ receiver, content, client: "nats" }),
    consumerFrom: () => {
      begun.push(new Delivery());
      return Promise.resolve(`consumer-${begun.length}`);
    },
    remove: () => Promise.resolve(),
    hasAfter: (partition, n) =>
      Promise.resolve([...stored].some(([seq, of]) => of === partition && seq > n)),
    jetstream: {
      consumers: { get: async () => ({ consume: async () => begun.at(-1)! }) },
    } as unknown as SendIntakeOptions["jetstream"],
    kernel: {
      begin: () => Promise.resolve(1),
      offer: (_partition, n) => {
        offered.push(n);
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

function store(n: number, partition: number): void {
  stored.set(n, partition);
}

async function take(n: number): Promise<void> {
  begun.at(-1)!.deliver(n, stored.get(n)!);
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
  expect(await intake.floor(last())).toBe(0);
  await until(() => begun.length === 2);
  expect(await intake.floor(last())).toBe(0);
  offered = [];
  for (let n = 1; n <= 3; n++) await take(n);
  intake.settled([1, 2, 3]);
  expect(await intake.floor(last())).toBe(3);
});
