/**
 * What the main thread and a worker tell each other. Bytes travel packed, one buffer a message, and are
 * transferred; frames are shared memory, written by the main thread while the worker still reads them.
 */
import type { SentTo } from "./lost-tail.ts";
import type { NodeLimits, SnapshotConfig } from "../base/config-schema.ts";
import type { ErrorCode } from "../base/errors.ts";
import type { Span } from "../base/trace.ts";
import type { Environment } from "./environment.ts";
import type { Control } from "./partition/control.ts";
import type { LoadedModule } from "./wasm/loaded-module.ts";
import type { Query } from "./queries.ts";

export interface WorkerStart {
  readonly worker: number;
  readonly partitions: number;
  readonly incarnation: number;
  readonly limits: NodeLimits;
  /** This worker's share of limits.residentActorsMax. */
  readonly residentsMax: number;
  readonly snapshots: SnapshotConfig;
  /** Turns that take longer are told of; 0 for none. */
  readonly slowTurnMs: number;
  /** Whether spans of turns are exported. */
  readonly tracing: boolean;
  /** Int32: [0] rises with every batch, [1] is 1 while guest code may run. */
  readonly shared: SharedArrayBuffer;
  /** Int32, one for the node: partition + 1 of the one that may try a suspect, 0 for none. */
  readonly suspects: SharedArrayBuffer;
}

/** Where a piece lies in the packed bytes. */
export interface Packed {
  readonly offset: number;
  readonly length: number;
}

export interface PackedSubmission extends Packed {
  readonly partition: number;
  readonly requestId: number;
  readonly id: string;
  readonly chosenId: boolean;
  readonly wantsReply: boolean;
}

/** Of the stream that clients send by; without bytes one that is refused already. */
export interface PackedStreamed extends Packed {
  readonly partition: number;
  readonly n: number;
  /** When the stream stored it, in seconds since 1970. */
  readonly storedS: number;
  /** What the client called it. */
  readonly id: string | undefined;
}

export interface PostedSettled {
  readonly partition: number;
  /** Numbers of messages that nothing is left to do for. */
  readonly settled: readonly number[];
  /** How many of them were accepted. */
  readonly accepted: number;
}

export interface PostedRefused {
  readonly partition: number;
  readonly n: number;
  readonly code: ErrorCode;
  readonly reason: string;
}

/** n = 0: the message is unlogged. */
export interface PackedRelay extends Packed {
  readonly destination: number;
  readonly n: number;
}

export type PackedResult =
  | {
      readonly kind: "accepted";
      readonly requestId: number;
      readonly duplicate: boolean;
      readonly frame: number;
    }
  | {
      readonly kind: "refused";
      readonly requestId: number;
      readonly code: ErrorCode;
      readonly reason: string;
    }
  | ({ readonly kind: "reply"; readonly requestId: number; readonly duplicate: boolean } & Packed)
  | {
      readonly kind: "failure";
      readonly requestId: number;
      readonly duplicate: boolean;
      readonly code: string;
      readonly reason: string;
    };

export type ToWorker =
  | { readonly kind: "environment"; readonly environment: Environment }
  | { readonly kind: "module"; readonly sha256: string; readonly module: LoadedModule }
  /** Agents (`namespace/name`) that keep no log. */
  | { readonly kind: "ephemeral"; readonly agents: readonly string[] }
  /** What a partition's recovery begins with; the frames after it follow. */
  | {
      readonly kind: "checkpoint";
      readonly partition: number;
      readonly sha256: string;
      readonly content: Uint8Array;
    }
  | {
      readonly kind: "recover";
      readonly partition: number;
      readonly frames: readonly { readonly sequence: number; readonly frame: Uint8Array }[];
    }
  | { readonly kind: "recovered"; readonly partition: number }
  /** All partitions are recovered as far as the log goes: take up work. */
  | {
      readonly kind: "open";
      readonly partition: number;
      readonly wasClean: boolean;
      /** The log is full: make room, and wait to be asked again without this. */
      readonly isShort?: boolean;
    }
  | {
      readonly kind: "submit";
      readonly submissions: readonly PackedSubmission[];
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: "stream";
      readonly messages: readonly PackedStreamed[];
      readonly bytes: Uint8Array;
      /** Refused messages that are disposed of. */
      readonly disposed: readonly { readonly partition: number; readonly n: number }[];
      /** What waits up to these numbers is to be refused. */
      readonly givenUp: readonly { readonly partition: number; readonly n: number }[];
    }
  | {
      readonly kind: "forget";
      readonly partition: number;
      readonly id: string;
      readonly requestId: number;
    }
  | { readonly kind: "committed"; readonly group: number }
  | {
      readonly kind: "relay";
      readonly source: number;
      readonly relays: readonly PackedRelay[];
      readonly bytes: Uint8Array;
    }
  /** `destination` has committed what `source` sent it up to n. */
  | {
      readonly kind: "acknowledged";
      readonly source: number;
      readonly destination: number;
      readonly n: number;
    }
  /** `destination` lacks what `source` sent it from number n on. */
  | {
      readonly kind: "refetch";
      readonly source: number;
      readonly destination: number;
      readonly n: number;
    }
  /** The partition's oldest frame holds back the trimming of a log it shares with others. */
  | { readonly kind: "demand-checkpoint"; readonly partition: number }
  | {
      readonly kind: "ranges";
      readonly requestId: number;
      readonly bytes: Uint8Array;
      readonly lengths: readonly number[];
    }
  | { readonly kind: "stored"; readonly requestId: number; readonly sha256: string }
  | {
      readonly kind: "fetched";
      readonly requestId: number;
      readonly bytes: Uint8Array | undefined;
    }
  | {
      readonly kind: "control";
      readonly requestId: number;
      readonly partition: number;
      readonly control: Control;
    }
  | { readonly kind: "query"; readonly requestId: number; readonly query: Query }
  /** Post committed frames under this number; 0: no more. */
  | { readonly kind: "observe"; readonly observation: number };

export interface PostedFrame {
  readonly partition: number;
  readonly frameNo: number;
  readonly expectedSequence: number | null;
  readonly frame: Uint8Array;
  /** Whether turns in it emitted some. */
  readonly hasEvents: boolean;
}

export interface PostedLogLine {
  readonly address: string;
  readonly level: number;
  readonly text: string;
  readonly rolledBack: boolean;
  /** Of the trace that the turn's message belongs to. */
  readonly traceId?: string;
}

export interface PostedSlowTurn {
  /** `namespace/name`. */
  readonly agent: string;
  readonly actor: string;
  /** Id of the message it consumed, or tried to. */
  readonly message: string;
  readonly fuel: number;
  readonly tookMs: number;
  readonly traceId?: string;
}

export type FromWorker =
  | {
      readonly kind: "recovered";
      readonly partition: number;
      readonly pending: number;
      /** Where its log ends. */
      readonly lastFrameNo: number;
      /** Last number accepted from each source. */
      readonly cursors: readonly (readonly [source: number, n: number])[];
      readonly sent: readonly SentTo[];
      /** Blobs it needs. */
      readonly blobs: readonly string[];
      /** Its newest checkpoint needs no frame below. */
      readonly logFloor: number;
    }
  | { readonly kind: "opened"; readonly partition: number }
  | { readonly kind: "group"; readonly group: number; readonly frames: readonly PostedFrame[] }
  | {
      readonly kind: "results";
      readonly results: readonly PackedResult[];
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: "streamed";
      readonly settled: readonly PostedSettled[];
      readonly refused: readonly PostedRefused[];
    }
  | {
      readonly kind: "relay";
      readonly source: number;
      readonly relays: readonly PackedRelay[];
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: "acknowledged" | "refetch";
      readonly source: number;
      readonly destination: number;
      readonly n: number;
    }
  | {
      readonly kind: "read";
      readonly requestId: number;
      readonly partition: number;
      /** Triples: sequence, offset, length. */
      readonly ranges: Float64Array;
    }
  /** Make a blob durable. */
  | { readonly kind: "store"; readonly requestId: number; readonly content: Uint8Array }
  | ({ readonly kind: "fetch"; readonly requestId: number; readonly sha256: string } & Packed)
  /** The partition's log may go below the sequence, and these blobs. */
  | {
      readonly kind: "trim";
      readonly partition: number;
      readonly below: number;
      readonly blobs: readonly string[];
    }
  | { readonly kind: "answer"; readonly requestId: number; readonly value: unknown }
  | { readonly kind: "escalate"; readonly agent: string; readonly reason: string }
  /** How long it took to bring back the memory of actors. */
  | { readonly kind: "activated"; readonly tookMs: readonly number[] }
  /** An actor goes over to another version of its agent. */
  | { readonly kind: "upgraded" }
  | { readonly kind: "logs"; readonly lines: readonly PostedLogLine[] }
  /** Newest committed frames of the worker's partitions that it will not post. */
  | {
      readonly kind: "observing";
      readonly observation: number;
      readonly frames: readonly (readonly [partition: number, frame: number])[];
    }
  | { readonly kind: "slow"; readonly turns: readonly PostedSlowTurn[] }
  | { readonly kind: "spans"; readonly spans: readonly Span[] }
  | {
      readonly kind: "messages";
      readonly observation: number;
      readonly partition: number;
      readonly frame: number;
      readonly messages: readonly Packed[];
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly reason: string };

/** The same bytes: a buffer comes from another thread as a plain array. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Copies pieces into one new buffer that can be transferred. */
export class Packer {
  private readonly pieces: { bytes: Uint8Array; offset: number; length: number }[] = [];
  private total = 0;

  add(bytes: Uint8Array, offset: number, length: number): Packed {
    const packed = { offset: this.total, length };
    this.pieces.push({ bytes, offset, length });
    this.total += length;
    return packed;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.total);
    let at = 0;
    for (const { bytes, offset, length } of this.pieces) {
      out.set(bytes.subarray(offset, offset + length), at);
      at += length;
    }
    return out;
  }
}
