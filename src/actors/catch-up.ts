/** Brings a subscriber who was away from where it was to the present, at the speed at which it reads. */
import { setTimeout as wait } from "node:timers/promises";
import { CaxtonError } from "../base/errors.ts";
import type { Log } from "../storage/index.ts";
import { scanInTimeOrder } from "./log-scan.ts";
import type { ScannedFrame, ScanRange } from "./log-scan.ts";
import { committedMessages } from "./observed-messages.ts";
import type { LogCursor } from "./resume-token.ts";
import type { MessageEvent, MessageSubscriber } from "./watch.ts";
import { decodeMessage } from "./wasm/envelope.ts";

/** Whoever reads nothing for so long holds up the memory of a scan for nothing. */
const STALL_MS_MAX = 30_000;

export interface CatchUpPorts {
  readonly log: Log;
  readonly partitions: number;
  /** Newest frame of each partition that subscribers were told of; undefined while that is not known. */
  published(): readonly number[] | undefined;
  /** Resolves when `published` may have changed. */
  changed(): Promise<void>;
  matches(event: MessageEvent): boolean;
  tokenOf(cursor: LogCursor): string;
  hasLeft(): boolean;
  /** Nothing is missing up to this moment: what is published from now on comes by itself. */
  join(): void;
}

/** Resolves when the subscriber has joined the others or left. `cursor` moves along. */
export async function catchUp(
  subscriber: MessageSubscriber,
  cursor: LogCursor,
  ports: CatchUpPorts,
): Promise<void> {
  while (!ports.hasLeft()) {
    const published = ports.published();
    if (published === undefined) {
      await ports.changed();
      continue;
    }
    const ranges = published
      .map((to, partition) => ({ partition, from: cursor.frames[partition]! + 1, to }))
      .filter(({ from, to }) => from <= to);
    if (ranges.length === 0) {
      ports.join();
      return;
    }
    if (cursor.messages > 0) await finishFrame(subscriber, cursor, ranges, ports);
    for await (const scanned of scanInTimeOrder(ports.log, ranges)) {
      await deliverFrame(subscriber, cursor, scanned, ports);
      if (ports.hasLeft()) return;
    }
    for (const { partition, to } of ranges) if (cursor.frames[partition]! < to) throw expired();
  }
}

/** A cursor is inside one frame at most: all others wait for its end, also those that were sealed before it. */
async function finishFrame(
  subscriber: MessageSubscriber,
  cursor: LogCursor,
  ranges: ScanRange[],
  ports: CatchUpPorts,
): Promise<void> {
  const own = ranges.findIndex(({ partition }) => partition === cursor.partition);
  if (own < 0) throw expired();
  for await (const scanned of scanInTimeOrder(ports.log, [ranges[own]!])) {
    await deliverFrame(subscriber, cursor, scanned, ports);
    ranges[own] = { ...ranges[own]!, from: scanned.header.frameNo + 1 };
    return;
  }
}

async function deliverFrame(
  subscriber: MessageSubscriber,
  cursor: LogCursor,
  { header, frame, previous }: ScannedFrame,
  ports: CatchUpPorts,
): Promise<void> {
  const { partition, frameNo } = header;
  if (previous !== cursor.frames[partition]) throw expired();
  const messages = committedMessages(frame, partition, ports.partitions);
  const taken = cursor.partition === partition ? cursor.messages : 0;
  cursor.partition = partition;
  for (let i = taken; i < messages.length; i++) {
    cursor.messages = i + 1;
    const message = decodeMessage(frame, messages[i]!.offset);
    const event = { message, partition, frame: frameNo, resumeToken: ports.tokenOf(cursor) };
    if (ports.matches(event)) await deliver(subscriber, event, ports);
    if (ports.hasLeft()) return;
  }
  cursor.frames[partition] = frameNo;
  cursor.messages = 0;
}

async function deliver(
  subscriber: MessageSubscriber,
  event: MessageEvent,
  ports: CatchUpPorts,
): Promise<void> {
  while (!ports.hasLeft() && !subscriber.deliver(event)) {
    const stalled = wait(STALL_MS_MAX, "stalled" as const, { ref: false });
    if ((await Promise.race([subscriber.drained(), stalled])) === "stalled") {
      throw new CaxtonError("SUBSCRIBER_TOO_SLOW");
    }
  }
}

function expired(): CaxtonError {
  return new CaxtonError("RESUME_TOKEN_EXPIRED");
}
