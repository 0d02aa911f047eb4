/** The events that a frame holds, and the offer of them to whoever carries them out of the node. */
import type { FrameHeader } from "../storage/frame-codec.ts";
import { IGNORED_ENTRIES, visitEntries } from "../storage/frame-entries.ts";
import { keyedEffect } from "./logged-effects.ts";
import { offsetOf, sequenceOf } from "./partition/turn-index.ts";
import { EFFECT_AT_KIND, EFFECT_EMIT } from "./wasm/effects.ts";
import { envelopeParts } from "./wasm/envelope.ts";

/** What an agent said had happened. */
export interface EmittedEvent {
  /** Always the same for the same event. */
  readonly id: string;
  /** Who emitted it. */
  readonly address: string;
  readonly topic: string;
  readonly content: Uint8Array;
  /** When its frame was sealed. */
  readonly atMs: number;
}

export interface EventFollower {
  /** Resolves when the event is safe elsewhere; it comes again when this rejects. */
  deliver(event: EmittedEvent): Promise<void>;
}

export interface EventOperations {
  /**
   * Events from where the follower of that name stopped, at least once, those of an actor in order. A new name
   * begins with the oldest that the log has. One may follow at a time. Returns what ends it.
   */
  follow(name: string, follower: EventFollower): () => Promise<void>;
}

/** An event as its frame has it. Holds nothing of the frame's memory, which is used again. */
export interface FrameEvent {
  /** Who emitted it; undefined when the message whose turn did came in an earlier frame. */
  readonly address: string | undefined;
  /** Of that message. */
  readonly messagePosition: number;
  readonly topic: string;
  readonly content: Buffer;
}

export function eventsOf(frame: Buffer, header: FrameHeader): FrameEvent[] {
  const events: FrameEvent[] = [];
  visitEntries(frame, header, {
    ...IGNORED_ENTRIES,
    turn: ({ messagePosition }, bytes, from, to) => {
      for (let at = from; at < to; at += bytes.readUInt32LE(at)) {
        if (bytes[at + EFFECT_AT_KIND] !== EFFECT_EMIT) continue;
        const { key: topic, value } = keyedEffect(bytes, at);
        const isHere = sequenceOf(messagePosition) === header.frameNo;
        const address = isHere ? receiverAt(bytes, offsetOf(messagePosition)) : undefined;
        events.push({ address, messagePosition, topic, content: Buffer.from(value) });
      }
    },
  });
  return events;
}

function receiverAt(bytes: Buffer, offset: number): string {
  const { receiver, extensions } = envelopeParts(bytes, offset);
  return bytes.toString("utf8", receiver, extensions);
}
