/** What a frame's message says of it, so that nobody need open the frame. */
import { CaxtonError } from "../../base/errors.ts";
import type { IndexedMessage } from "./partition-index.ts";

/** The frame's number in its partition; absent where it was appended without expectation. */
const SEQUENCE_HEADER = "Caxton-Seq";
const EPOCH_HEADER = "Caxton-Epoch";

export function frameHeaders(epoch: number, sequence?: number): Record<string, string> {
  const headers: Record<string, string> = { [EPOCH_HEADER]: String(epoch) };
  if (sequence !== undefined) headers[SEQUENCE_HEADER] = String(sequence);
  return headers;
}

export interface MessageFacts {
  readonly subject: string;
  readonly streamSequence: number;
  readonly bytes: number;
  readonly header: (name: string) => string | undefined;
}

export function indexedMessage(message: MessageFacts): IndexedMessage {
  const { subject, streamSequence, bytes } = message;
  const epoch = numberOf(message.header(EPOCH_HEADER));
  if (epoch === undefined) {
    const text = `Message ${streamSequence} on ${subject} is no frame: it has no ${EPOCH_HEADER}.`;
    throw new CaxtonError("STORAGE_CORRUPT", text);
  }
  return { streamSequence, bytes, epoch, sequence: numberOf(message.header(SEQUENCE_HEADER)) };
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}
