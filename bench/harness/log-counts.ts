/**
 * What a log says was committed, read with the storage engine and the frame codec alone: neither the
 * kernel's recovery nor the agents' own counting has a part in it.
 *
 * 1. Messages of a partition are numbered as they are accepted: those of clients and of other partitions by
 *    their accepted entries, those of the partition's own actors by the turns that send them.
 */
import { hashAddressText, partitionOf } from "../../src/actors/address.ts";
import {
  EFFECT_AT_KIND,
  EFFECT_SEND,
  EFFECT_SEND_HEADER_BYTES,
} from "../../src/actors/wasm/effects.ts";
import { envelopeParts } from "../../src/actors/wasm/envelope.ts";
import {
  readFrameHeader,
  SOURCE_CLIENT,
  SOURCE_MASK,
  type TurnFields,
} from "../../src/storage/frame-codec.ts";
import { type EntryVisitor, visitEntries } from "../../src/storage/frame-entries.ts";
import { openEmbeddedStorage } from "../../src/storage/index.ts";
import { ringAddress } from "./ring.ts";

export interface LogCounts {
  /** Messages ever sent to each actor that the log holds: what it has handled once all is at rest. */
  readonly sent: Float64Array;
  /** Turns of each actor. */
  readonly turns: Float64Array;
  /** Turns that began between the two times. */
  measured: number;
  bytes: number;
}

export interface LogCountOptions {
  readonly partitions: number;
  readonly actors: number;
  readonly sizeBytesMax: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Opens the directory: let it be a copy. */
export async function countLog(directory: string, options: LogCountOptions): Promise<LogCounts> {
  const { partitions, actors, sizeBytesMax } = options;
  const counts: LogCounts = {
    sent: new Float64Array(actors),
    turns: new Float64Array(actors),
    measured: 0,
    bytes: 0,
  };
  const storage = await openEmbeddedStorage({ directory, sizeBytesMax });
  try {
    for (let partition = 0; partition < partitions; partition++) {
      const reader = new PartitionReader(partition, options, counts);
      for await (const { frame } of storage.log.scan(partition, 1)) {
        const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
        counts.bytes += bytes.length;
        visitEntries(bytes, readFrameHeader(bytes), reader);
      }
    }
  } finally {
    await storage.close();
  }
  return counts;
}

class PartitionReader implements EntryVisitor {
  private readonly partition: number;
  private readonly options: LogCountOptions;
  private readonly counts: LogCounts;
  private readonly partitionOfActor: Uint32Array;
  /** Actor of each message that no turn has consumed yet, by its number. */
  private readonly pending = new Map<number, number>();
  private lastSeq = 0;

  constructor(partition: number, options: LogCountOptions, counts: LogCounts) {
    this.partition = partition;
    this.options = options;
    this.counts = counts;
    this.partitionOfActor = Uint32Array.from({ length: options.actors }, (_, actor) =>
      partitionOf(hashAddressText(ringAddress(actor)), options.partitions),
    );
  }

  accepted(
    flags: number,
    _source: number,
    _incarnation: number,
    _n: number,
    frame: Buffer,
    offset: number,
  ): void {
    const actor = actorOf(frame, offset);
    // What actors of other partitions send is counted where it is sent.
    if ((flags & SOURCE_MASK) === SOURCE_CLIENT) this.counts.sent[actor]!++;
    this.pending.set(++this.lastSeq, actor);
  }

  turn(turn: TurnFields, frame: Buffer, from: number, to: number): void {
    const actor = this.pending.get(turn.consumedSeq);
    if (actor === undefined) throw new Error(`message ${turn.consumedSeq} is consumed twice`);
    this.pending.delete(turn.consumedSeq);
    this.counts.turns[actor]!++;
    const { fromMs, untilMs } = this.options;
    if (turn.nowMs >= fromMs && turn.nowMs < untilMs) this.counts.measured++;
    for (let at = from; at < to; at += frame.readUInt32LE(at)) {
      if (frame[at + EFFECT_AT_KIND] !== EFFECT_SEND) throw new Error("a ring only sends");
      const receiver = actorOf(frame, at + EFFECT_SEND_HEADER_BYTES);
      this.counts.sent[receiver]!++;
      if (this.partitionOfActor[receiver] === this.partition) {
        this.pending.set(++this.lastSeq, receiver);
      }
    }
  }

  control(): void {
    // A deployment: no message.
  }

  turnFailed(): never {
    throw new Error("a turn failed");
  }

  deadLetter(): never {
    throw new Error("a message became a dead letter");
  }

  intent(): never {
    throw new Error("the log has been through a crash already");
  }

  systemSend(): never {
    throw new Error("a message had no receiver");
  }

  moved(): void {
    // Counted when it came.
  }

  checkpoint(): void {
    // No message.
  }

  upgrade(): never {
    throw new Error("an agent was deployed anew");
  }
}

/** The key of the receiver, which is the actor's number. */
function actorOf(frame: Buffer, envelope: number): number {
  const parts = envelopeParts(frame, envelope);
  let actor = 0;
  let digit = 1;
  for (let at = parts.extensions - 1; frame[at] !== 0x2f; at--, digit *= 10) {
    actor += (frame[at]! - 0x30) * digit;
  }
  return actor;
}
