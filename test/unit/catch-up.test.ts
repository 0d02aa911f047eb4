/** A subscriber that comes back where it was: partitions' frames were published in another order than they were sealed in. */
import { expect, test } from "vitest";
import { hashAddressText, partitionOf } from "../../src/actors/address.ts";
import { Subscriptions } from "../../src/actors/subscriptions.ts";
import type { MessageEvent, MessageSubscriber } from "../../src/actors/watch.ts";
import { FLAG_CLIENT, encodeEnvelope } from "../../src/actors/wasm/envelope.ts";
import { FrameWriter } from "../../src/storage/frame-codec.ts";
import type { Log, LogRecord } from "../../src/storage/index.ts";

const PARTITIONS = 2;

/** An address of each partition. */
const addresses = Array.from({ length: PARTITIONS }, (_, partition) => {
  for (let key = 0; ; key++) {
    const address = `default/counter/${key}`;
    if (partitionOf(hashAddressText(address), PARTITIONS) === partition) return address;
  }
});

class Partitions {
  readonly logs: LogRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  private observation = 0;
  readonly subscriptions = new Subscriptions({
    log: {
      scan: (partition: number, from: number) => this.scan(partition, from),
    } as unknown as Log,
    partitions: PARTITIONS,
    incarnation: 7,
    observe: (observation) => {
      this.observation = observation;
      const frames = this.logs.map((log, partition) => [partition, log.length] as const);
      if (observation > 0) this.subscriptions.started({ kind: "observing", observation, frames });
    },
  });

  private async *scan(partition: number, from: number): AsyncGenerator<LogRecord> {
    yield* this.logs[partition]!.slice(from - 1);
  }

  /** A frame of messages with these ids; returns what publishes it. */
  commit(partition: number, timeMs: number, ids: readonly string[]): () => void {
    const writer = new FrameWriter(4096);
    const packed: Buffer[] = [];
    for (const id of ids) {
      const fields = { id, sender: "client", receiver: addresses[partition]! };
      const envelope = encodeEnvelope({ ...fields, flags: FLAG_CLIENT, content: Buffer.from("x") });
      writer.accepted(0, 0, 0, 0, envelope, 0, envelope.length);
      packed.push(envelope);
    }
    const frame = this.logs[partition]!.length + 1;
    const fixed = { flags: 0, partition, epoch: 1, incarnation: 1, previousCrc: 0, timeMs };
    const sealed = writer.seal({ ...fixed, frameNo: frame, checkpointFrameNo: 0 });
    this.logs[partition]!.push({ sequence: frame, frame: Buffer.from(sealed.frame) });
    const bytes = Buffer.concat(packed);
    const starts = packed.map((_, i) => Buffer.concat(packed.slice(0, i)).length);
    const messages = packed.map(({ length }, i) => ({ offset: starts[i]!, length }));
    const { observation } = this;
    return () => {
      this.subscriptions.publish({
        kind: "messages",
        observation,
        partition,
        frame,
        messages,
        bytes,
      });
    };
  }

  /** What a subscriber gets until it leaves. */
  subscribe(token?: string): { readonly seen: MessageEvent[]; leave(): void } {
    const seen: MessageEvent[] = [];
    const subscriber: MessageSubscriber = {
      filter: {},
      deliver: (event) => {
        // The token is of now.
        seen.push({ ...event, resumeToken: event.resumeToken });
        return true;
      },
      drained: () => Promise.resolve(),
      closed: (error) => {
        throw error ?? new Error("closed");
      },
    };
    return { seen, leave: this.subscriptions.add(subscriber, token) };
  }
}

const idsOf = (events: readonly MessageEvent[]) => events.map(({ message }) => message.id);

test("each message comes once, from wherever the subscriber left", async () => {
  const partitions = new Partitions();
  const live = partitions.subscribe();
  const early = partitions.commit(0, 10, ["a1", "a2"]);
  const late = partitions.commit(1, 20, ["b1", "b2"]);
  late();
  early();
  partitions.commit(1, 30, ["b3"])();
  const all = idsOf(live.seen);
  expect(all).toEqual(["b1", "b2", "a1", "a2", "b3"]);
  live.leave();
  for (const [i, { resumeToken }] of live.seen.entries()) {
    const back = partitions.subscribe(resumeToken);
    await expect.poll(() => back.seen.length, { interval: 1 }).toBe(all.length - 1 - i);
    expect([...all.slice(0, i + 1), ...idsOf(back.seen)].sort()).toEqual(all.toSorted());
    back.leave();
    for (const [k, seen] of back.seen.entries()) {
      const again = partitions.subscribe(seen.resumeToken);
      const rest = idsOf(back.seen).slice(k + 1);
      await expect.poll(() => again.seen.length, { interval: 1 }).toBe(rest.length);
      expect(idsOf(again.seen)).toEqual(rest);
      again.leave();
    }
  }
});
