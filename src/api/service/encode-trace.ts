/** Traces as messages of the API. */
import type { TraceEvent as KernelEvent, TracedEffect } from "../../actors/index.ts";
import {
  type TraceEffect,
  TraceEffectKind,
  TraceEvent,
  TraceEventKind,
} from "../../gen/caxton/v1/message.ts";
import { encodeMessage } from "./encode.ts";

const EVENT_KIND: Readonly<Record<KernelEvent["kind"], TraceEventKind>> = {
  arrived: TraceEventKind.ARRIVED,
  handled: TraceEventKind.HANDLED,
  failed: TraceEventKind.FAILED,
  "dead-lettered": TraceEventKind.DEAD_LETTERED,
};

const EFFECT_KIND: Readonly<Record<TracedEffect["kind"], TraceEffectKind>> = {
  send: TraceEffectKind.SEND,
  ask: TraceEffectKind.ASK,
  reply: TraceEffectKind.REPLY,
  "state-put": TraceEffectKind.STATE_PUT,
  "state-delete": TraceEffectKind.STATE_DELETE,
  event: TraceEffectKind.EVENT,
  "timer-set": TraceEffectKind.TIMER_SET,
  "timer-cancel": TraceEffectKind.TIMER_CANCEL,
};

export function encodeTraceEvent(event: KernelEvent): TraceEvent {
  const { atMs, partition, frame, messageId, receiver } = event;
  const place = { kind: EVENT_KIND[event.kind], atMs, partition, frame, messageId, receiver };
  return TraceEvent.create({ ...place, ...particularsOf(event) });
}

function particularsOf(event: KernelEvent): Partial<TraceEvent> {
  switch (event.kind) {
    case "arrived": {
      const { message, contentBytes, causeId = "" } = event;
      return { message: encodeMessage(message), contentBytes, causeId };
    }
    case "handled":
      return { effects: event.effects.map(encodeEffect), open: event.open };
    case "failed":
      return { ...event.failure, retryAtMs: event.retryAtMs };
    case "dead-lettered":
      return event.failure;
  }
}

function encodeEffect({ kind, messageId = "", ...effect }: TracedEffect): TraceEffect {
  return { ...effect, messageId, kind: EFFECT_KIND[kind] };
}
