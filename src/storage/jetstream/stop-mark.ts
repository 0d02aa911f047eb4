/** Whether the node that used the streams before stopped by itself. */
import type { Subjects } from "../../base/nats-subjects.ts";
import type { JetStreamApi } from "./jetstream-api.ts";
import { publishUntilAcked } from "./publisher.ts";

const CLEAN = "clean";
const RUNNING = "running";

/** Undefined when no node has used them yet. */
export async function readStopMark(
  api: JetStreamApi,
  { recordStream, stopMark }: Subjects,
): Promise<boolean | undefined> {
  const mark = await api.message(recordStream, { last_by_subj: stopMark });
  return mark === undefined ? undefined : Buffer.from(mark.body).toString() === CLEAN;
}

export async function writeStopMark(
  api: JetStreamApi,
  { recordStream: stream, stopMark: subject }: Subjects,
  isClean: boolean,
): Promise<void> {
  const body = Buffer.from(isClean ? CLEAN : RUNNING);
  await publishUntilAcked(api.link, { stream, subject, body, headers: {} });
}
