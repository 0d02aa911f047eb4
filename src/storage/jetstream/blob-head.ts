/** What the head of a blob says of it. */
import { CaxtonError } from "../../base/errors.ts";
import type { StoredMessage } from "./jetstream-api.ts";

const BYTES_HEADER = "Caxton-Bytes";
const CHUNK_BYTES_HEADER = "Caxton-Chunk-Bytes";

export interface BlobHead {
  readonly bytes: number;
  readonly chunkBytes: number;
  /** The blob, where it is small enough to have no chunks. */
  readonly content: Uint8Array | undefined;
}

export function headHeaders({ bytes, chunkBytes }: BlobHead): Record<string, string> {
  return { [BYTES_HEADER]: String(bytes), [CHUNK_BYTES_HEADER]: String(chunkBytes) };
}

export function readHead({ subject, headers, body }: StoredMessage): BlobHead {
  const bytes = Number(headers.get(BYTES_HEADER));
  const chunkBytes = Number(headers.get(CHUNK_BYTES_HEADER));
  if (!Number.isSafeInteger(bytes) || !Number.isSafeInteger(chunkBytes) || chunkBytes < 1) {
    throw new CaxtonError("STORAGE_CORRUPT", `The message on ${subject} is no head of a blob.`);
  }
  return { bytes, chunkBytes, content: body.length === bytes ? body : undefined };
}
