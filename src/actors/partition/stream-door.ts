/**
 * Messages of the stream that clients send by: each is accepted once, those to one actor in the stream's order.
 *
 * Owns the messages in hand: handed over by the main thread, nothing durable about them yet.
 * 1. Messages are met in the order of their numbers, and met once, whatever is handed over again.
 * 2. Where one can't be taken now, those to the same receiver wait behind it; others pass, once it is in the log
 *    that this one waits.
 * 3. A message is told of as settled when its acceptance, or that it needs none, is durable.
 */
import { Queue } from "../../base/queue.ts";
import { ERRORS } from "../../base/errors.ts";
import { ACCEPTED_OVERHEAD_BYTES, ACCEPTED_REMEMBERED } from "../../storage/frame-codec.ts";
import { isEphemeral, receiverOf, type Refusal, refusalOf } from "./admission.ts";
import { SMALL_ENTRY_BYTES } from "./mail.ts";
import type { PartitionProcessor } from "./processor.ts";

export interface StreamedMessage {
  readonly n: number;
  /** When the stream stored it, in seconds since 1970. */
  readonly storedS: number;
  /** What the client called it; a repeat is not accepted again. */
  readonly id: string | undefined;
  /** None: the message is refused already. */
  readonly envelope: Buffer | undefined;
}

export interface StreamDoorPorts {
  settled(settled: readonly number[], accepted: number): void;
  /** Stays in hand until it is said to be done. */
  refused(n: number, refusal: Refusal): void;
}

type Outcome = "taken" | "waits" | "no room";

/** Room that a note of the cursor is sure to find at once: one that waited for room would come behind later messages. */
const NOTE_BYTES = SMALL_ENTRY_BYTES + 256;
/** Mailboxes may empty themselves without a frame, and ids go with time. */
const RETRY_MS = 20;

export class StreamDoor {
  private readonly processor: PartitionProcessor;
  private readonly ports: StreamDoorPorts;
  private readonly arrived = new Queue<StreamedMessage>();
  /** By receiver. */
  private readonly lanes = new Map<string, Queue<StreamedMessage>>();
  /** Disposed of before they were met. */
  private readonly disposed = new Set<number>();
  private newest: number;
  private begins: number;
  private settled: number[] = [];
  private accepted = 0;
  /** Newest message that no entry speaks of and nothing is left to do for. */
  private passed = 0;
  /** By when the stream had stored all that was met, whether an entry speaks of it or not. */
  private latestS: number;
  private retryAtMs = Infinity;

  constructor(processor: PartitionProcessor, ports: StreamDoorPorts) {
    this.processor = processor;
    this.ports = ports;
    const { stream } = processor.state;
    this.newest = stream.floor;
    this.begins = stream.begins;
    this.latestS = stream.upToS;
  }

  offer(message: StreamedMessage): void {
    this.followBegin();
    if (message.n <= this.newest) return;
    this.newest = message.n;
    this.arrived.push(message);
  }

  /** The main thread has disposed of a message that was refused. */
  dispose(n: number): void {
    const { stream } = this.processor.state;
    this.followBegin();
    if (stream.waiting.has(n)) {
      this.processor.control({ kind: "stream-done", n }, () => {
        this.ports.settled([n], 0);
      });
    } else if (!stream.isDone(n)) {
      this.disposed.add(n);
    }
  }

  /** Refuses what waits up to this number: it holds up the stream. */
  giveUp(upTo: number): void {
    this.followBegin();
    for (const [receiver, lane] of this.lanes) {
      for (let next = lane.peek(); next !== undefined && next.n <= upTo; next = lane.peek()) {
        const refusal = refusalOf(this.processor, next.envelope!, next.id !== undefined);
        if (refusal === undefined) break;
        lane.shift();
        this.ports.refused(next.n, refusal);
      }
      if (lane.length === 0) this.lanes.delete(receiver);
    }
  }

  get hasWork(): boolean {
    const next = this.arrived.peek();
    const { frames } = this.processor;
    // Larger ones will be refused.
    if (next !== undefined) {
      return frames.hasRoom(Math.min(roomFor(next), frames.writer.entriesBytesMax));
    }
    return this.settled.length > 0 && frames.hasRoom(NOTE_BYTES);
  }

  /** When what waits is tried again, Infinity when nothing does. */
  get nextTickMs(): number {
    return this.retryAtMs;
  }

  /** Something was committed: mailboxes may have room. */
  retry(): void {
    if (this.lanes.size > 0) this.retryAtMs = 0;
  }

  step(): void {
    if (this.arrived.length === 0 && this.settled.length === 0 && this.lanes.size === 0) return;
    this.followBegin();
    if (this.lanes.size > 0 && this.retryAtMs <= this.processor.nowMs()) this.retryLanes();
    for (let next = this.arrived.peek(); next !== undefined; next = this.arrived.peek()) {
      if (!this.meet(next)) break;
      this.arrived.shift();
    }
    if (this.notePassed()) this.report();
  }

  /** The stream begins elsewhere: what is in hand is of before, and comes again. */
  private followBegin(): void {
    const { stream } = this.processor.state;
    if (stream.begins === this.begins) return;
    this.begins = stream.begins;
    this.newest = stream.floor;
    this.passed = 0;
    this.latestS = stream.upToS;
    this.arrived.clear();
    this.lanes.clear();
    this.disposed.clear();
    this.retryAtMs = Infinity;
  }

  /** False: there is no room in the frame. */
  private meet(message: StreamedMessage): boolean {
    const { n, storedS, envelope } = message;
    if (this.processor.state.stream.isDone(n)) {
      this.settled.push(n);
      return true;
    }
    this.latestS = Math.max(this.latestS, storedS);
    if (this.disposed.delete(n)) return this.pass(n) === "taken";
    if (envelope === undefined) return this.noteWaiting(n);
    const lane = this.lanes.size === 0 ? undefined : this.lanes.get(receiverOf(envelope));
    if (lane !== undefined) return this.wait(message, lane);
    const outcome = this.take(message);
    if (outcome !== "waits") return outcome === "taken";
    const opened = new Queue<StreamedMessage>();
    if (!this.wait(message, opened)) return false;
    this.lanes.set(receiverOf(envelope), opened);
    this.retryAtMs = Math.min(this.retryAtMs, this.processor.nowMs() + RETRY_MS);
    return true;
  }

  private wait(message: StreamedMessage, lane: Queue<StreamedMessage>): boolean {
    if (!this.noteWaiting(message.n)) return false;
    lane.push(message);
    return true;
  }

  /** Before a later one passes it. */
  private noteWaiting(n: number): boolean {
    const { frames, state } = this.processor;
    if (state.stream.waiting.has(n)) return true;
    if (!frames.hasRoom(NOTE_BYTES)) return false;
    this.processor.control({ kind: "stream-wait", n, storedS: this.latestS });
    return true;
  }

  private take(message: StreamedMessage): Outcome {
    const { n, id } = message;
    const envelope = message.envelope!;
    const { processor } = this;
    const { state, frames, mail } = processor;
    if (!frames.hasRoom(NOTE_BYTES)) return "no room";
    if (id !== undefined && state.clients.get(id) !== undefined) return this.pass(n);
    const refusal = refusalOf(processor, envelope, id !== undefined);
    if (refusal !== undefined) return this.refuse(n, refusal);
    if (!frames.hasRoom(roomFor(message))) return "no room";
    if (isEphemeral(processor, envelope)) {
      mail.acceptUnlogged(envelope, 0, envelope.length);
      this.accepted++;
      return this.pass(n);
    }
    if (id !== undefined) state.rememberClient(id, processor.nowMs(), frames.frameNo, false);
    const flags = id === undefined ? 0 : ACCEPTED_REMEMBERED;
    mail.acceptStreamed(flags, n, this.latestS, envelope);
    this.accepted++;
    this.settled.push(n);
    return "taken";
  }

  private refuse(n: number, refusal: Refusal): Outcome {
    if (ERRORS[refusal.code].retryable) return "waits";
    if (!this.noteWaiting(n)) return "no room";
    this.ports.refused(n, refusal);
    return "taken";
  }

  private pass(n: number): Outcome {
    if (this.processor.state.stream.waiting.has(n)) {
      this.processor.control({ kind: "stream-done", n });
    } else {
      this.passed = n;
    }
    this.settled.push(n);
    return "taken";
  }

  /** Of those in a row the last stands for all. */
  private notePassed(): boolean {
    const { processor, passed } = this;
    if (passed <= processor.state.stream.upTo) return true;
    if (!processor.frames.hasRoom(NOTE_BYTES)) return false;
    processor.control({ kind: "stream-done", n: passed, storedS: this.latestS });
    return true;
  }

  private retryLanes(): void {
    for (const [receiver, lane] of this.lanes) {
      for (let next = lane.peek(); next !== undefined; next = lane.peek()) {
        if (this.take(next) !== "taken") break;
        lane.shift();
      }
      if (lane.length === 0) this.lanes.delete(receiver);
    }
    this.retryAtMs = this.lanes.size === 0 ? Infinity : this.processor.nowMs() + RETRY_MS;
  }

  private report(): void {
    if (this.settled.length === 0) return;
    const { settled, accepted } = this;
    this.settled = [];
    this.accepted = 0;
    this.processor.frames.afterCommit(() => {
      this.ports.settled(settled, accepted);
    });
  }
}

/** For its acceptance, or the note that stands in for it. */
function roomFor({ envelope }: StreamedMessage): number {
  return Math.max(NOTE_BYTES, ACCEPTED_OVERHEAD_BYTES + (envelope?.length ?? 0));
}
