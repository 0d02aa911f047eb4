/** The entries of a frame, read: what recovery, replay and checks see of it. The codec writes them. */
import { invariant } from "../base/assert.ts";
import {
  ACCEPTED_FIXED_BYTES,
  ENTRY_ACCEPTED,
  ENTRY_CHECKPOINT,
  ENTRY_CONTROL,
  ENTRY_DEAD_LETTER,
  ENTRY_HEADER_BYTES,
  ENTRY_INTENT,
  ENTRY_MOVED,
  ENTRY_SYSTEM_SEND,
  ENTRY_TURN,
  ENTRY_TURN_FAILED,
  ENTRY_UPGRADE,
  FAILURE_FIXED_BYTES,
  FRAME_HEADER_BYTES,
  MOVED_FIXED_BYTES,
  SHA256_BYTES,
  TURN_FIXED_BYTES,
  TURN_OPEN,
  corrupt,
} from "./frame-codec.ts";
import type {
  CheckpointFields,
  FailureFields,
  FrameHeader,
  TurnFields,
  UpgradeFields,
} from "./frame-codec.ts";

const utf8Decoder = new TextDecoder();

/** What an entry means to the one who rebuilds state from it. Offsets point into the frame. */
export interface EntryVisitor {
  accepted(
    flags: number,
    source: number,
    sourceIncarnation: number,
    n: number,
    frame: Buffer,
    offset: number,
    length: number,
  ): void;
  turn(turn: TurnFields, frame: Buffer, effectsFrom: number, effectsTo: number): void;
  turnFailed(failure: FailureFields): void;
  deadLetter(failure: FailureFields): void;
  intent(seq: number, attempt: number): void;
  control(json: string): void;
  systemSend(sendNo: number, frame: Buffer, offset: number, length: number): void;
  moved(seq: number, frame: Buffer, offset: number, length: number): void;
  checkpoint(checkpoint: CheckpointFields): void;
  /** `entry` is the entry's offset, [from, to) the exported state. */
  upgrade(
    fields: UpgradeFields,
    address: string,
    frame: Buffer,
    entry: number,
    from: number,
    to: number,
  ): void;
}

const ignore = (): undefined => undefined;

/** For visitors who care for some kinds of entries only. */
export const IGNORED_ENTRIES: EntryVisitor = {
  accepted: ignore,
  turn: ignore,
  turnFailed: ignore,
  deadLetter: ignore,
  intent: ignore,
  control: ignore,
  systemSend: ignore,
  moved: ignore,
  checkpoint: ignore,
  upgrade: ignore,
};

/** Calls the visitor for every entry in order. The header has been checked. */
export function visitEntries(frame: Buffer, header: FrameHeader, visitor: EntryVisitor): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let at = FRAME_HEADER_BYTES;
  for (let i = 0; i < header.entryCount; i++) {
    if (at + ENTRY_HEADER_BYTES > frame.length) throw corrupt("an entry is cut off");
    const head = view.getUint32(at, true);
    const bytes = view.getUint32(at + 4, true);
    const body = at + ENTRY_HEADER_BYTES;
    const end = body + bytes;
    if (end > frame.length) throw corrupt("an entry is cut off");
    visitEntry(frame, view, head, body, end, visitor);
    at = end;
  }
  if (at !== frame.length) throw corrupt("bytes are left after its last entry");
}

function visitEntry(
  frame: Buffer,
  view: DataView,
  head: number,
  body: number,
  end: number,
  visitor: EntryVisitor,
): void {
  const flags = (head >>> 8) & 0xff;
  const aux = head >>> 16;
  const text = (from: number, to: number): string => utf8Decoder.decode(frame.subarray(from, to));
  switch (head & 0xff) {
    case ENTRY_ACCEPTED:
      visitor.accepted(
        flags,
        view.getUint32(body, true),
        view.getUint32(body + 4, true),
        view.getFloat64(body + 8, true),
        frame,
        body + ACCEPTED_FIXED_BYTES,
        end - body - ACCEPTED_FIXED_BYTES,
      );
      return;
    case ENTRY_TURN:
      visitor.turn(readTurn(view, body, flags), frame, body + TURN_FIXED_BYTES, end);
      return;
    case ENTRY_TURN_FAILED:
      visitor.turnFailed(readFailure(view, body, aux, end));
      return;
    case ENTRY_DEAD_LETTER:
      visitor.deadLetter(readFailure(view, body, aux, end));
      return;
    case ENTRY_INTENT:
      visitor.intent(view.getFloat64(body, true), view.getUint32(body + 8, true));
      return;
    case ENTRY_CONTROL:
      visitor.control(text(body, end));
      return;
    case ENTRY_SYSTEM_SEND:
      visitor.systemSend(view.getFloat64(body, true), frame, body + 8, end - body - 8);
      return;
    case ENTRY_MOVED:
      visitor.moved(
        view.getFloat64(body, true),
        frame,
        body + MOVED_FIXED_BYTES,
        end - body - MOVED_FIXED_BYTES,
      );
      return;
    case ENTRY_CHECKPOINT:
      visitor.checkpoint(readCheckpoint(frame, body));
      return;
    case ENTRY_UPGRADE: {
      const addressAt = body + TURN_FIXED_BYTES;
      const address = frame.toString("latin1", addressAt, addressAt + aux);
      const entry = body - ENTRY_HEADER_BYTES;
      visitor.upgrade(readUpgrade(view, body), address, frame, entry, addressAt + aux, end);
      return;
    }
    default:
      throw corrupt(`it holds an entry of unknown kind ${String(head & 0xff)}`);
  }
}

function readTurn(view: DataView, body: number, flags: number): TurnFields {
  return {
    consumedSeq: view.getFloat64(body, true),
    sendNoBase: view.getFloat64(body + 8, true),
    nowMs: view.getFloat64(body + 16, true),
    seed: view.getUint32(body + 24, true),
    environment: view.getUint32(body + 28, true),
    digest: view.getUint32(body + 32, true),
    rootSeq: view.getFloat64(body + 36, true),
    messagePosition: view.getFloat64(body + 44, true),
    open: (flags & TURN_OPEN) !== 0,
  };
}

function readFailure(view: DataView, body: number, codeBytes: number, end: number): FailureFields {
  const codeAt = body + FAILURE_FIXED_BYTES;
  const text = (from: number, to: number): string =>
    utf8Decoder.decode(new Uint8Array(view.buffer, view.byteOffset + from, to - from));
  return {
    seq: view.getFloat64(body, true),
    atMs: view.getFloat64(body + 8, true),
    attempts: view.getUint32(body + 16, true),
    messagePosition: view.getFloat64(body + 20, true),
    code: text(codeAt, codeAt + codeBytes),
    reason: text(codeAt + codeBytes, end),
  };
}

function readCheckpoint(frame: Buffer, body: number): CheckpointFields {
  const sha256 = frame.toString("hex", body + 8, body + 8 + SHA256_BYTES);
  return { stateFrameNo: frame.readDoubleLE(body), sha256 };
}

/** The checkpoint a frame names, the newest when there are several. The header has been checked. */
export function checkpointOf(frame: Buffer): CheckpointFields | undefined {
  let found: CheckpointFields | undefined;
  for (let at = FRAME_HEADER_BYTES; at < frame.length;) {
    const body = at + ENTRY_HEADER_BYTES;
    if (frame[at] === ENTRY_CHECKPOINT) found = readCheckpoint(frame, body);
    at = body + frame.readUInt32LE(at + 4);
  }
  return found;
}

function readUpgrade(view: DataView, body: number): UpgradeFields {
  return {
    nowMs: view.getFloat64(body, true),
    seed: view.getUint32(body + 8, true),
    environment: view.getUint32(body + 12, true),
  };
}

/** Decodes a turn given only the fixed bytes of its entry (entry header first). */
export function readTurnEntry(entry: Buffer): TurnFields {
  invariant(entry.readUInt8(0) === ENTRY_TURN, "the entry is a turn");
  const view = new DataView(entry.buffer, entry.byteOffset, entry.length);
  return readTurn(view, ENTRY_HEADER_BYTES, entry.readUInt8(1));
}

/** The same for an upgrade; undefined for a turn. */
export function readUpgradeEntry(entry: Buffer): UpgradeFields | undefined {
  if (entry.readUInt8(0) !== ENTRY_UPGRADE) return undefined;
  return readUpgrade(
    new DataView(entry.buffer, entry.byteOffset, entry.length),
    ENTRY_HEADER_BYTES,
  );
}
