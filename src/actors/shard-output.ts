/**
 * What a worker tells the main thread, collected and packed.
 *
 * Owns answers and relays of the present round and the reads under way.
 */
import { copyOf } from "../base/bytes.ts";
import type { Span } from "../base/trace.ts";
import type { FrameRange } from "../storage/index.ts";
import { committedMessages } from "./observed-messages.ts";
import type { BlobPart } from "./partition/actor-images.ts";
import type { ClientResult } from "./partition/client-door.ts";
import type { SealedFrame } from "./partition/frame-pipeline.ts";
import { TURN_FAILED, TURN_SKIPPED } from "./turn-batch.ts";
import type { TurnBatch } from "./turn-batch.ts";
import { envelopeParts } from "./wasm/envelope.ts";
import { traceOf } from "./wasm/message-trace.ts";
import { Packer } from "./worker-protocol.ts";
import type {
  FromWorker,
  PackedRelay,
  PackedResult,
  PostedRefused,
  PostedSettled,
  PostedSlowTurn,
} from "./worker-protocol.ts";

export type Post = (message: FromWorker, transfer: readonly ArrayBuffer[]) => void;

interface OutgoingRelays {
  readonly packer: Packer;
  readonly relays: PackedRelay[];
}

export class ShardOutput {
  private readonly post: Post;
  private results: ClientResult[] = [];
  private activations: number[] = [];
  private spans: Span[] = [];
  private settled: PostedSettled[] = [];
  private refused: PostedRefused[] = [];
  private readonly relays = new Map<number, OutgoingRelays>();
  private readonly reads = new Map<number, (pieces: Buffer[]) => void>();
  private readonly stores = new Map<number, (sha256: string) => void>();
  private readonly fetches = new Map<number, (bytes: Buffer | undefined) => void>();
  private lastRequest = 0;

  constructor(post: Post) {
    this.post = post;
  }

  result(result: ClientResult): void {
    this.results.push(result);
  }

  streamed(settled: PostedSettled): void {
    this.settled.push(settled);
  }

  streamRefused(refused: PostedRefused): void {
    this.refused.push(refused);
  }

  /** An actor's memory came back. */
  activated(tookMs: number): void {
    this.activations.push(tookMs);
  }

  span(span: Span): void {
    this.spans.push(span);
  }

  /** A message for a partition of another worker. Its bytes are copied. */
  relay(
    source: number,
    destination: number,
    n: number,
    bytes: Buffer,
    offset: number,
    length: number,
  ): void {
    let outgoing = this.relays.get(source);
    if (outgoing === undefined) {
      outgoing = { packer: new Packer(), relays: [] };
      this.relays.set(source, outgoing);
    }
    const copy = copyOf(bytes, offset, length);
    outgoing.relays.push({ destination, n, ...outgoing.packer.add(copy, 0, length) });
  }

  flush(): void {
    if (this.results.length > 0) this.flushResults();
    if (this.settled.length + this.refused.length > 0) {
      this.post({ kind: "streamed", settled: this.settled, refused: this.refused }, []);
      this.settled = [];
      this.refused = [];
    }
    if (this.activations.length > 0) {
      this.post({ kind: "activated", tookMs: this.activations }, []);
      this.activations = [];
    }
    if (this.spans.length > 0) {
      this.post({ kind: "spans", spans: this.spans }, []);
      this.spans = [];
    }
    for (const [source, { packer, relays }] of this.relays) {
      const bytes = packer.finish();
      this.post({ kind: "relay", source, relays, bytes }, [bytes.buffer]);
    }
    this.relays.clear();
  }

  private flushResults(): void {
    const packer = new Packer();
    const results = this.results.map((result): PackedResult => {
      if (result.kind !== "reply") return result;
      const { envelope, ...rest } = result;
      return { ...rest, ...packer.add(envelope, 0, envelope.length) };
    });
    this.results = [];
    const bytes = packer.finish();
    this.post({ kind: "results", results, bytes }, [bytes.buffer]);
  }

  /** Messages of a committed frame, for subscribers: also when it has none, so that a gap is seen. */
  messages(
    { partition, frameNo, frame }: SealedFrame,
    observation: number,
    partitions: number,
  ): void {
    const packer = new Packer();
    const messages = committedMessages(frame, partition, partitions).map(({ offset, length }) =>
      packer.add(frame, offset, length),
    );
    const bytes = packer.finish();
    const posted = { kind: "messages", observation, partition, frame: frameNo, messages } as const;
    this.post({ ...posted, bytes }, [bytes.buffer]);
  }

  logs(batch: TurnBatch): void {
    if (batch.logs.length === 0) return;
    const lines = batch.logs.map(({ actor, level, text, turn }) => ({
      address: actor.address,
      level,
      text,
      rolledBack: turn >= batch.ran || batch.status[turn] === TURN_FAILED,
      ...traceIdIn(batch, turn),
    }));
    this.post({ kind: "logs", lines }, []);
  }

  slowTurns(batch: TurnBatch, slowTurnMs: number): void {
    if (slowTurnMs === 0) return;
    const turns: PostedSlowTurn[] = [];
    for (let i = 0; i < batch.ran; i++) {
      const tookMs = batch.tookMs[i]!;
      if (tookMs <= slowTurnMs || batch.status[i] === TURN_SKIPPED) continue;
      const { agent, address } = batch.actors[i]!;
      const { bytes, offset } = batch.messages[i]!;
      const { id, sender } = envelopeParts(bytes, offset);
      turns.push({
        agent: agent.name,
        actor: address,
        message: bytes.toString("utf8", id, sender),
        fuel: batch.fuel[i]!,
        tookMs: Math.round(tookMs),
        ...traceIdIn(batch, i),
      });
    }
    if (turns.length > 0) this.post({ kind: "slow", turns }, []);
  }

  /** Reads ranges of a partition's log; `read` hands the pieces over when they are there. */
  readLog(
    partition: number,
    ranges: readonly FrameRange[],
    done: (pieces: Buffer[]) => void,
  ): void {
    const requestId = ++this.lastRequest;
    this.reads.set(requestId, done);
    const packed = new Float64Array(ranges.length * 3);
    ranges.forEach(({ sequence, offset, length }, i) => {
      packed[i * 3] = sequence;
      packed[i * 3 + 1] = offset;
      packed[i * 3 + 2] = length;
    });
    this.post({ kind: "read", requestId, partition, ranges: packed }, [packed.buffer]);
  }

  read(requestId: number, bytes: Buffer, lengths: readonly number[]): void {
    const done = this.reads.get(requestId);
    this.reads.delete(requestId);
    let at = 0;
    done?.(lengths.map((length) => bytes.subarray(at, (at += length))));
  }

  /** Makes a blob durable. Its bytes are given away, but for those in shared memory. */
  store(content: Buffer, stored: (sha256: string) => void): void {
    const requestId = ++this.lastRequest;
    this.stores.set(requestId, stored);
    const { buffer } = content;
    const transfer = buffer instanceof ArrayBuffer ? [buffer] : [];
    this.post({ kind: "store", requestId, content }, transfer);
  }

  stored(requestId: number, sha256: string): void {
    const stored = this.stores.get(requestId);
    this.stores.delete(requestId);
    stored?.(sha256);
  }

  /** Reads a part of a blob. */
  fetch(part: BlobPart, done: (bytes: Buffer | undefined) => void): void {
    const requestId = ++this.lastRequest;
    this.fetches.set(requestId, done);
    const { sha256, offset, length } = part;
    this.post({ kind: "fetch", requestId, sha256, offset, length }, []);
  }

  fetched(requestId: number, bytes: Buffer | undefined): void {
    const done = this.fetches.get(requestId);
    this.fetches.delete(requestId);
    done?.(bytes);
  }
}

function traceIdIn(batch: TurnBatch, i: number): { readonly traceId?: string } {
  const trace = traceOf(batch.messages[i]!, batch.handlers[i]);
  return trace === undefined ? {} : { traceId: trace.traceId };
}
