/**
 * The changes of one actor's key-value state, as its partition's log has them.
 *
 * Owns the messages of the actor that were met and not handled yet.
 * 1. A turn is the actor's when its message is: one whose message is no longer in the log is passed over.
 */
import type { FrameHeader } from "../storage/frame-codec.ts";
import { IGNORED_ENTRIES, visitEntries } from "../storage/frame-entries.ts";
import type { EntryVisitor } from "../storage/frame-entries.ts";
import type { StateChange } from "./history.ts";
import type { ScannedFrame } from "./log-scan.ts";
import { keyedEffect } from "./logged-effects.ts";
import { logPosition } from "./partition/turn-index.ts";
import {
  EFFECT_AT_KIND,
  EFFECT_STATE_DELETE,
  EFFECT_STATE_PUT,
  sentMessageAt,
} from "./wasm/effects.ts";
import { decodeMessage, envelopeParts } from "./wasm/envelope.ts";

type Cause = Pick<StateChange, "messageId" | "sender" | "performative">;

export class StateHistory {
  private readonly address: Buffer;
  private readonly prefix: string;
  private readonly found: (change: StateChange) => void;
  private readonly messages = new Map<number, Cause>();
  private header: FrameHeader | undefined;

  /** `found` is told of each change of a key with the prefix. */
  constructor(address: string, prefix: string, found: (change: StateChange) => void) {
    this.address = Buffer.from(address, "utf8");
    this.prefix = prefix;
    this.found = found;
  }

  add({ header, frame }: ScannedFrame): void {
    this.header = header;
    visitEntries(frame, header, this.visitor);
  }

  private readonly visitor: EntryVisitor = {
    ...IGNORED_ENTRIES,
    accepted: (_flags, _source, _incarnation, _n, frame, offset) => {
      this.meet(frame, offset);
    },
    systemSend: (_sendNo, frame, offset) => {
      this.meet(frame, offset);
    },
    moved: (_seq, frame, offset) => {
      this.meet(frame, offset);
    },
    turn: (turn, frame, from, to) => {
      const cause = this.messages.get(turn.messagePosition);
      if (cause !== undefined) {
        this.messages.delete(turn.messagePosition);
        this.changes(cause, turn.nowMs, frame, from, to);
      }
      for (let at = from; at < to; at += frame.readUInt32LE(at)) {
        const message = sentMessageAt(frame, at);
        if (message !== undefined) this.meet(frame, message);
      }
    },
  };

  private meet(frame: Buffer, offset: number): void {
    const { receiver, extensions } = envelopeParts(frame, offset);
    const { address } = this;
    if (extensions - receiver !== address.length) return;
    if (address.compare(frame, receiver, extensions) !== 0) return;
    const { id: messageId, sender, performative } = decodeMessage(frame, offset);
    const place = logPosition(this.header!.frameNo, offset);
    this.messages.set(place, { messageId, sender, performative });
  }

  private changes(cause: Cause, atMs: number, frame: Buffer, from: number, to: number): void {
    for (let at = from; at < to; at += frame.readUInt32LE(at)) {
      const kind = frame[at + EFFECT_AT_KIND];
      if (kind !== EFFECT_STATE_PUT && kind !== EFFECT_STATE_DELETE) continue;
      const { key, value } = keyedEffect(frame, at);
      if (!key.startsWith(this.prefix)) continue;
      const put = kind === EFFECT_STATE_PUT ? Uint8Array.from(value) : undefined;
      this.found({ key, value: put, atMs, frame: this.header!.frameNo, ...cause });
    }
  }
}
