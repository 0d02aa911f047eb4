/** The events that a frame holds, and the offer of them to whoever carries them out of the node. */
import { readFrameHeader } from "../storage/frame-codec.ts";
import { IGNORED_ENTRIES, visitEntries } from "../storage/frame-entries.ts";
import { keyedEffect } from "./logged-effects.ts";
import { EFFECT_AT_KIND, EFFECT_EMIT } from "./wasm/effects.ts";

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

/** An event where it stands. */
export interface FrameEvent {
  /** Of the message whose turn emitted it. */
  readonly messagePosition: number;
  readonly topic: string;
  readonly content: Buffer;
}

export function eventsOf(frame: Buffer): FrameEvent[] {
  const events: FrameEvent[] = [];
  visitEntries(frame, readFrameHeader(frame), {
    ...IGNORED_ENTRIES,
    turn: ({ messagePosition }, bytes, from, to) => {
      for (let at = from; at < to; at += bytes.readUInt32LE(at)) {
        if (bytes[at + EFFECT_AT_KIND] !== EFFECT_EMIT) continue;
        const { key: topic, value: content } = keyedEffect(bytes, at);
        // A scan of the log uses its buffers again.
        events.push({ messagePosition, topic, content: Buffer.from(content) });
      }
    },
  });
  return events;
}
