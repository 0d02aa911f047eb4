/**
 * Spans of the turns whose messages belong to a sampled trace: how long the message waited, the turn, and its
 * commit. Made only while spans are exported.
 */
import { type Span, newSpanId, type TraceContext } from "../base/trace.ts";
import type { Clock } from "../base/clock.ts";
import type { PartitionProcessor } from "./partition/processor.ts";
import { TURN_SKIPPED } from "./turn-batch.ts";
import type { TurnBatch } from "./turn-batch.ts";
import { envelopeParts } from "./wasm/envelope.ts";
import { traceOf, turnSpanId } from "./wasm/message-trace.ts";

export interface TurnTracePorts {
  readonly clock: Clock;
  span(span: Span): void;
}

export class TurnTraces {
  private readonly ports: TurnTracePorts;

  constructor(ports: TurnTracePorts) {
    this.ports = ports;
  }

  /** The batch is settled; its turns [from, to) were a partition's. They ran one after the other. */
  record(
    batch: TurnBatch,
    settled: readonly (readonly [processor: PartitionProcessor, from: number, to: number])[],
  ): void {
    let startMs = batch.nowMs;
    for (const [processor, from, to] of settled) {
      for (let i = from; i < Math.min(to, batch.ran); i++) {
        if (batch.status[i] === TURN_SKIPPED) continue;
        const trace = traceOf(batch.messages[i]!, batch.handlers[i]);
        if (trace?.isSampled === true) this.recordTurn(processor, batch, i, startMs, trace);
        startMs += batch.tookMs[i]!;
      }
    }
  }

  private recordTurn(
    processor: PartitionProcessor,
    batch: TurnBatch,
    i: number,
    startMs: number,
    trace: TraceContext,
  ): void {
    const { traceId, spanId: parentId } = trace;
    const actor = batch.actors[i]!;
    const message = batch.messages[i]!;
    const failure = batch.failures.get(i);
    const { id, sender } = envelopeParts(message.bytes, message.offset);
    const attributes = {
      "caxton.actor": actor.address,
      "caxton.message.id": message.bytes.toString("utf8", id, sender),
    };
    const endMs = startMs + batch.tookMs[i]!;
    const { acceptedMs } = message;
    if (acceptedMs > 0) {
      this.ports.span({
        ...internal(traceId, newSpanId(), parentId, "caxton.message.wait"),
        startMs: Math.min(acceptedMs, startMs),
        endMs: startMs,
        attributes,
      });
    }
    const spanId = turnSpanId(message, batch.seeds[i]!);
    this.ports.span({
      ...internal(traceId, spanId, parentId, "caxton.turn"),
      kind: "consumer",
      startMs,
      endMs,
      attributes: { ...attributes, "caxton.fuel": batch.fuel[i]! },
      error: failure === undefined ? undefined : `${failure.code}: ${failure.reason}`,
    });
    if (actor.agent.isEphemeral) return;
    processor.frames.afterCommit(() => {
      this.ports.span({
        ...internal(traceId, newSpanId(), spanId, "caxton.commit"),
        startMs: endMs,
        endMs: Math.max(endMs, this.ports.clock.wallMs()),
        attributes,
      });
    });
  }
}

function internal(traceId: string, spanId: string, parentId: string, name: string) {
  return { traceId, spanId, parentId, name, kind: "internal", error: undefined } as const;
}
