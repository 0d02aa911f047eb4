/** Removes chunks of blobs whose put was interrupted: without a head they are no blob, and nobody would ever. */
import type { Subjects } from "../../base/nats-subjects.ts";
import type { JetStreamApi } from "./jetstream-api.ts";

/**
 * A put, of this node or another, writes a chunk every few seconds, or gives up and begins again with the first one.
 * So what has not grown for so long is nobody's.
 */
const ABANDONED_MS = 600_000;

/** Begins at once, and again when what was too young will be old enough. Returns what ends it. */
export function startSweep(
  api: JetStreamApi,
  subjects: Subjects,
  abandonedMs = ABANDONED_MS,
): () => Promise<void> {
  let cancel = (): void => undefined;
  let isOver = false;
  const sweep = async (): Promise<void> => {
    // Servers that do not answer now are asked at the next start.
    const waitMs = await sweepBlobs(api, subjects, abandonedMs).catch(() => undefined);
    if (waitMs === undefined || isOver) return;
    const again = (): void => {
      sweeping = sweep();
    };
    const timer = setTimeout(again, waitMs).unref();
    cancel = () => clearTimeout(timer);
  };
  let sweeping = sweep();
  return async () => {
    isOver = true;
    cancel();
    await sweeping;
  };
}

/** Resolves with how many milliseconds to wait for those that are too young; undefined when there are none. */
async function sweepBlobs(
  api: JetStreamApi,
  subjects: Subjects,
  abandonedMs: number,
): Promise<number | undefined> {
  const { blobStream, wholeBlob } = subjects;
  const headless = await headlessChunks(api, subjects);
  if (headless.size === 0) return undefined;
  const nowMs = Date.parse((await api.streamInfo(blobStream)).ts);
  let waitMs: number | undefined;
  for (const [sha256, chunks] of headless) {
    const { streamSequence, atMs } = await newestOf(api, blobStream, chunks);
    const leftMs = atMs + abandonedMs - nowMs;
    // What a put that begins now writes comes later in the stream, and stays.
    if (leftMs <= 0) await api.purgeUpTo(blobStream, wholeBlob(sha256), streamSequence);
    else waitMs = Math.max(waitMs ?? 0, leftMs);
  }
  return waitMs;
}

/** By hash. A head that is written meanwhile makes its chunks young. */
async function headlessChunks(
  api: JetStreamApi,
  { blobStream, allBlobMessages, blobHead, hashOfBlob }: Subjects,
): Promise<Map<string, string[]>> {
  const chunks = new Map<string, string[]>();
  const whole = new Set<string>();
  for (const subject of await api.subjectsIn(blobStream, allBlobMessages)) {
    const sha256 = hashOfBlob(subject);
    if (subject === blobHead(sha256)) whole.add(sha256);
    else chunks.set(sha256, [...(chunks.get(sha256) ?? []), subject]);
  }
  for (const sha256 of whole) chunks.delete(sha256);
  return chunks;
}

async function newestOf(
  api: JetStreamApi,
  stream: string,
  subjects: readonly string[],
): Promise<{ streamSequence: number; atMs: number }> {
  let newest = { streamSequence: 0, atMs: Infinity };
  for (const last_by_subj of subjects) {
    const message = await api.message(stream, { last_by_subj });
    if (message === undefined || message.streamSequence <= newest.streamSequence) continue;
    newest = { streamSequence: message.streamSequence, atMs: message.atMs };
  }
  return newest;
}
