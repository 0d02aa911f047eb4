/**
 * The frame that fills and what may happen once it is durable. A partition has two: one fills while the
 * other is in flight; their buffers are reused.
 */
import { FrameWriter } from "../../storage/frame-codec.ts";
import type { PendingMessage } from "./message.ts";

/** A send to another partition, or to an ephemeral actor (n = 0: it has no number). */
export interface Outbound {
  readonly destination: number;
  readonly n: number;
  readonly offset: number;
  readonly length: number;
}

export class OpenFrame {
  readonly writer: FrameWriter;
  /** Messages whose bytes are in this frame's buffer. */
  readonly messages: PendingMessage[] = [];
  readonly outbound: Outbound[] = [];
  /** Called when the frame is durable, in order. */
  readonly afterCommit: (() => void)[] = [];
  /** Newest number accepted from each source partition in this frame. */
  readonly accepted = new Map<number, number>();
  hasEvents = false;

  constructor(bytesMax: number) {
    this.writer = new FrameWriter(bytesMax);
  }

  reuse(): void {
    this.writer.start();
    this.messages.length = 0;
    this.outbound.length = 0;
    this.afterCommit.length = 0;
    this.accepted.clear();
    this.hasEvents = false;
  }

  /** Moves what is still pending out of the buffer. */
  evacuate(): void {
    for (const message of this.messages) if (!message.consumed) message.evacuate();
  }
}
