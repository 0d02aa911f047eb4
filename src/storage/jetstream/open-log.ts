/** The log's parts, with what the streams hold. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { LogStreamName, Subjects } from "../../base/nats-subjects.ts";
import type { WriteGate } from "../write-gate.ts";
import type { JetStreamApi } from "./jetstream-api.ts";
import { JetStreamLog, type LogCounts } from "./jetstream-log.ts";
import { type LayoutOptions, logStreamBytesMax } from "./layout.ts";
import { loadIndexes } from "./log-loader.ts";
import { LogPartition } from "./log-partition.ts";
import { LogScanner } from "./log-scanner.ts";
import { LogStream } from "./log-stream.ts";
import { StreamRoom } from "./stream-room.ts";

export interface LogOptions {
  readonly connection: NatsConnection;
  readonly api: JetStreamApi;
  readonly subjects: Subjects;
  readonly gate: WriteGate;
  readonly layout: LayoutOptions;
  readonly frameBytesMax: number;
  readonly behindMsMax: number;
}

export async function openLog(options: LogOptions): Promise<JetStreamLog> {
  const { api, subjects, layout, frameBytesMax } = options;
  const counts: LogCounts = { framesAppended: 0, bytesAppended: 0 };
  const names = subjects.logStreams(layout.partitions);
  const streams = await Promise.all(names.map((name) => openLogStream(options, name, counts)));
  const { bytesMax } = layout;
  return new JetStreamLog({
    streams,
    scanner: new LogScanner(api),
    frameBytesMax,
    bytesMax,
    counts,
  });
}

async function openLogStream(
  { connection, api, subjects, gate, layout, behindMsMax }: LogOptions,
  { stream: name, partitions: numbers }: LogStreamName,
  counts: LogCounts,
): Promise<LogStream> {
  const appended = (bytes: number): void => {
    counts.framesAppended++;
    counts.bytesAppended += bytes;
  };
  const bytesMax = logStreamBytesMax(layout);
  const bytesNow = async (): Promise<number> => (await api.streamInfo(name)).state.bytes;
  const room = new StreamRoom(bytesNow, bytesMax);
  const partitions = numbers.map((partition) => {
    const subject = subjects.log(partition);
    const fixed = { api, stream: name, gate, appended, room, behindMsMax };
    return new LogPartition({ ...fixed, subject, partition });
  });
  await loadIndexes(connection, api, name, partitions);
  await room.look();
  return new LogStream({ api, name, bytesMax, partitions, gate, room });
}
