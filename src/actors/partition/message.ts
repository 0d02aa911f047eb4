import { copyOf } from "../../base/bytes.ts";

/** A message in a mailbox. The bytes stay where they are: in a frame, or in a copy once that frame is reused. */
export class PendingMessage {
  /** Dense per partition in the order of acceptance. */
  readonly seq: number;
  /** Flags of the envelope. */
  readonly flags: number;
  bytes: Buffer;
  offset: number;
  readonly length: number;
  /** Where the log holds the envelope (see turn-index.ts), -1 when it is in no log. */
  logPosition: number;
  /** The message whose open handler awaits this answer, 0 for every other message. */
  readonly rootSeq: number;
  /** By the wall clock; 0 when it was accepted by an earlier owner of the partition. */
  acceptedMs = 0;
  attempts = 0;
  consumed = false;
  /** Durable intents without a result, from crashes of the process. */
  intents = 0;
  /** Accepted before the process crashed: tried behind an intent. */
  probation = false;

  constructor(
    seq: number,
    flags: number,
    bytes: Buffer,
    offset: number,
    length: number,
    logPosition: number,
    rootSeq: number,
  ) {
    this.seq = seq;
    this.flags = flags;
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    this.logPosition = logPosition;
    this.rootSeq = rootSeq;
  }

  /** Moves the bytes out of a buffer that is about to be reused. */
  evacuate(): void {
    this.bytes = copyOf(this.bytes, this.offset, this.length);
    this.offset = 0;
  }
}
