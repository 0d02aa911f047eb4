/** Opens the streams of a Caxton cluster, or makes them. */
import type { NatsConnection } from "@nats-io/transport-node";
import { CaxtonError, ensureError } from "../../base/errors.ts";
import { inboxPrefixOf, subjectsOf } from "../../base/nats-subjects.ts";
import type { Durability, Storage } from "../port.ts";
import { WriteGate } from "../write-gate.ts";
import { BlobStore } from "./blob-store.ts";
import { startSweep } from "./blob-sweep.ts";
import { JetStreamApi, JetStreamRefusal } from "./jetstream-api.ts";
import { setUpLayout } from "./layout.ts";
import { NatsLink } from "./nats-link.ts";
import { type LogOptions, openLog } from "./open-log.ts";
import { RecordStore } from "./record-store.ts";
import { RecordWatch } from "./record-watch.ts";
import type { Room } from "./room.ts";
import { readStopMark, writeStopMark } from "./stop-mark.ts";
import { watchTails } from "./tail-watch.ts";

export interface JetStreamStorageOptions {
  /** Stays open when storage is closed. */
  readonly connection: NatsConnection;
  /** Part of all names, so that several Caxton clusters can share servers. Default: "default". */
  readonly cluster?: string;
  readonly partitions: number;
  readonly replicas: 1 | 3;
  readonly durability: Durability["profile"];
  /** Whether it is known that the servers do so; by default it is not. */
  readonly isDurabilityVerified?: boolean;
  /** What the log may take in each server. Records and blobs come on top. */
  readonly sizeBytesMax: number;
  /** How long a leader may lack what was acknowledged, before it counts as lost. Default: 30 s. */
  readonly behindMsMax?: number;
  /** How long one answer is waited for. Default: 5 s. */
  readonly answerWaitMs?: number;
  /** Of the servers' disks, where it is known. */
  readonly room?: Room;
  /** How long a blob must not have grown to count as abandoned. Default: 10 minutes. */
  readonly abandonedMs?: number;
  /** Called once, when writing has stopped for good. */
  readonly onFailed?: (error: CaxtonError) => void;
}

/** Subject, headers and what the server adds. */
const MESSAGE_ROOM_BYTES = 16 * 1024;
/** The effects of one turn and room for the message that caused them. */
const FRAME_BYTES_MIN = 576 * 1024;
/** Longer than any election of a leader. */
const BEHIND_MS_MAX = 30_000;
const OPEN_MS_MAX = 25_000;

export async function openJetStreamStorage(options: JetStreamStorageOptions): Promise<Storage> {
  const { connection, partitions, replicas, sizeBytesMax: bytesMax } = options;
  const subjects = subjectsOf(options.cluster ?? "default");
  const gate = new WriteGate(options.onFailed ?? (() => undefined));
  const layout = { subjects, partitions, replicas, bytesMax };
  const inboxPrefix = inboxPrefixOf(subjects.cluster);
  const link = new NatsLink(connection, inboxPrefix, options.room, options.answerWaitMs);
  try {
    const frameBytesMax = frameBytesMaxOf(link);
    const api = new JetStreamApi(link);
    const behindMsMax = options.behindMsMax ?? BEHIND_MS_MAX;
    const { abandonedMs } = options;
    const sizes = { frameBytesMax, behindMsMax, abandonedMs };
    const engine = { api, subjects, gate, layout, connection, ...sizes };
    return await openInTime(engine, {
      profile: options.durability,
      isVerified: options.isDurabilityVerified ?? false,
    });
  } catch (error) {
    link.close();
    throw asOpenError(error);
  }
}

interface EngineOptions extends LogOptions {
  readonly abandonedMs: number | undefined;
}

/** A node may start while the servers still look for leaders of their streams. */
async function openInTime(engine: EngineOptions, durability: Durability): Promise<Storage> {
  const ends = performance.now() + OPEN_MS_MAX;
  for (;;) {
    try {
      return await openEngine(engine, durability);
    } catch (error) {
      const isAway = error instanceof CaxtonError && error.code === "STORAGE_UNAVAILABLE";
      if (!isAway || performance.now() >= ends) throw error;
    }
  }
}

async function openEngine(engine: EngineOptions, durability: Durability): Promise<Storage> {
  const { api, subjects, gate, layout, connection, frameBytesMax } = engine;
  const created = await setUpLayout(api, layout);
  const logs = subjects.logStreams(layout.partitions).map(({ stream }) => stream);
  for (const stream of [...logs, subjects.blobStream, subjects.recordStream]) {
    api.link.followLeader(stream);
  }
  const clean = (await readStopMark(api, subjects)) ?? created;
  const log = await openLog(engine);
  const foundUpTo = (await api.streamInfo(subjects.blobStream)).state.last_seq;
  const watch = await RecordWatch.open(connection, api, subjects);
  try {
    await writeStopMark(api, subjects, false);
  } catch (error) {
    watch.close();
    throw error;
  }
  const records = new RecordStore({ api, subjects, gate, watch, valueBytesMax: frameBytesMax });
  const blobs = new BlobStore({ api, subjects, gate, foundUpTo });
  const endSweep = startSweep(api, subjects, engine.abandonedMs);
  const endTailWatch = watchTails(log, layout.partitions, engine.behindMsMax);
  const close = async (): Promise<void> => {
    endTailWatch();
    gate.close();
    api.link.end();
    try {
      await Promise.all([log.close(), blobs.close(), endSweep()]);
      // Without servers the stop counts as unclean; nothing is lost by that.
      if (!gate.failed) await writeStopMark(api, subjects, true).catch(() => undefined);
    } finally {
      watch.close();
      api.link.close();
    }
  };
  let closing: Promise<void> | undefined;
  return {
    engine: "jetstream",
    durability,
    log,
    records,
    blobs,
    opening: { clean, created, tornBytesCut: 0 },
    close: () => (closing ??= close()),
  };
}

function frameBytesMaxOf(link: NatsLink): number {
  const frameBytesMax = link.payloadBytesMax - MESSAGE_ROOM_BYTES;
  if (frameBytesMax >= FRAME_BYTES_MIN) return frameBytesMax;
  const text =
    `max_payload of the NATS servers is ${link.payloadBytesMax} bytes; Caxton needs ` +
    `${FRAME_BYTES_MIN + MESSAGE_ROOM_BYTES}. Raise it in their configuration (1MB is their default).`;
  throw new CaxtonError("INVALID_CONFIG", text);
}

function asOpenError(thrown: unknown): CaxtonError {
  if (thrown instanceof CaxtonError) return thrown;
  const error = ensureError(thrown);
  const code = error instanceof JetStreamRefusal ? "STORAGE_LAYOUT" : "STORAGE_UNAVAILABLE";
  return new CaxtonError(code, `The NATS servers can't be used: ${error.message}.`, {
    cause: error,
  });
}
