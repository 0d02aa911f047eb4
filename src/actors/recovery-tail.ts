/**
 * Looks at the frames behind a checkpoint as a recovery reads them: another owner may write, trim and delete
 * meanwhile.
 *
 * Owns the place it has come to.
 * 1. A frame that is missing was trimmed since the checkpoint was found, or the log is damaged.
 * 2. Whoever names another checkpoint removes what the one before needs: a recovery that began with that one
 *    has lost its ground, even if it has read all frames.
 */
import { readFrameHeader } from "../storage/frame-codec.ts";
import type { LogRecord } from "../storage/index.ts";

export type TailFinding = "follows" | "hole" | "checkpoint";

export class RecoveryTail {
  private next: number;
  private readonly checkpointFrameNo: number;

  /** `checkpointFrameNo` is the frame that names the checkpoint recovery begins with, 0 when there is none. */
  constructor(from: number, checkpointFrameNo: number) {
    this.next = from;
    this.checkpointFrameNo = checkpointFrameNo;
  }

  take({ sequence, frame }: LogRecord): TailFinding {
    if (sequence !== this.next) return "hole";
    this.next++;
    const header = readFrameHeader(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
    const acts = header.frameNo === sequence;
    return acts && header.checkpointFrameNo > this.checkpointFrameNo ? "checkpoint" : "follows";
  }
}
