/** Opens the storage engine that the configuration names, with the NATS connection and nats-server it needs. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import { type NatsConfig, natsServersOf } from "../base/config-nats.ts";
import type { Config } from "../base/config-schema.ts";
import { CaxtonError, ensureError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { lockDirectory } from "./embedded/directory-lock.ts";
import { openEmbeddedStorage } from "./embedded/open-embedded-storage.ts";
import { openJetStreamStorage } from "./jetstream/open-jetstream-storage.ts";
import { connectNats, type LastingConnection, type NatsTarget } from "./jetstream/connect.ts";
import { findNatsServer } from "./jetstream/find-nats-server.ts";
import { NODE_USER } from "./jetstream/managed-config.ts";
import { ManagedNatsServer } from "./jetstream/managed-server.ts";
import { passwordLogin, readLogin } from "./jetstream/nats-login.ts";
import type { Room } from "./jetstream/room.ts";
import type { Storage } from "./port.ts";
import { StorageAway } from "./storage-away.ts";

export interface StorageOptions {
  readonly config: Pick<Config, "node" | "storage" | "partitions">;
  readonly log: Logger;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called once, when nothing can be stored any more. */
  readonly onFailed: (error: CaxtonError) => void;
  readonly faultPoint?: (name: string) => void;
}

export interface OpenedStorage {
  readonly storage: Storage;
  readonly away: StorageAway;
  /** Undefined with the embedded engine. */
  readonly nats: OpenedNats | undefined;
  close(): Promise<void>;
}

export interface OpenedNats {
  readonly connection: NatsConnection;
  /** Where NATS clients connect: the node's own nats-server, or those that were given. */
  readonly servers: readonly string[];
}

export async function openStorage(options: StorageOptions): Promise<OpenedStorage> {
  if (options.config.storage.engine === "jetstream") return openJetStream(options);
  const { directory, sizeBytesMax } = options.config.storage;
  const { onFailed, faultPoint } = options;
  const storage = await openEmbeddedStorage({
    directory,
    sizeBytesMax,
    onFailed,
    ...(faultPoint !== undefined && { faultPoint }),
  });
  return { storage, away: new StorageAway(), nats: undefined, close: () => storage.close() };
}

type Close = () => Promise<void> | void;

async function openJetStream(options: StorageOptions): Promise<OpenedStorage> {
  const opened: Close[] = [];
  const close = async (): Promise<void> => {
    let failure: Error | undefined;
    for (const end of opened.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        failure ??= ensureError(error);
      }
    }
    if (failure !== undefined) throw failure;
  };
  try {
    return { ...(await openParts(options, opened)), close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** Puts what has to be closed, last one first, into `opened`. */
async function openParts(
  options: StorageOptions,
  opened: Close[],
): Promise<Omit<OpenedStorage, "close">> {
  const { storage: settings, partitions } = options.config;
  const { directory, sizeBytesMax, nats } = settings;
  await mkdir(directory, { recursive: true });
  opened.push(lockDirectory(directory));
  refuseOtherEngine(directory);
  const { target, room } = await targetOf(options, opened);
  const away = new StorageAway();
  const link = await connect(options, target, away);
  opened.push(() => link.close());
  const storage = await openJetStreamStorage({
    connection: link.connection,
    cluster: nats.cluster,
    partitions: partitions.count,
    replicas: nats.replicas === 3 ? 3 : 1,
    durability: nats.durability,
    isDurabilityVerified: nats.managed,
    sizeBytesMax,
    onFailed: options.onFailed,
    ...(room !== undefined && { room }),
  });
  opened.push(() => storage.close());
  return { storage, away, nats: { connection: link.connection, servers: target.servers } };
}

/** Everything in it would seem to be lost. */
function refuseOtherEngine(directory: string): void {
  if (!existsSync(`${directory}/FORMAT`)) return;
  const finding = {
    at: "storage.engine",
    message: `is jetstream, but ${directory} holds data of the embedded engine`,
    hint: "Name another storage.directory, or set storage.engine to embedded.",
  };
  throw new CaxtonError("INVALID_CONFIG", undefined, { findings: [finding] });
}

/** `room`: of the node's own nats-server; of others nothing is known. */
async function targetOf(
  options: StorageOptions,
  opened: Close[],
): Promise<{ readonly target: NatsTarget; readonly room?: Room }> {
  const { config, env } = options;
  const { nats } = config.storage;
  const identity = { name: `caxton ${config.node.id}`, cluster: nats.cluster };
  if (!nats.managed) {
    const servers = natsServersOf(nats.servers);
    return { target: { ...identity, servers, login: readLogin(nats, env) } };
  }
  const server = await ManagedNatsServer.start({
    directory: config.storage.directory,
    binary: await findNatsServer(env),
    nats,
    clientPassword: clientPasswordOf(nats),
    log: options.log,
  });
  opened.push(() => server.stop());
  const servers = [`127.0.0.1:${String(server.port)}`];
  options.log.info({ servers, pid: server.pid }, "the node's nats-server runs");
  const login = passwordLogin(NODE_USER, server.password);
  return { target: { ...identity, servers, login }, room: server };
}

function clientPasswordOf({ clientPasswordFile }: NatsConfig): string | undefined {
  if (clientPasswordFile === undefined) return undefined;
  try {
    return readFileSync(clientPasswordFile, "utf8").trimEnd();
  } catch (error) {
    const finding = { at: "storage.nats.clientPasswordFile", message: ensureError(error).message };
    throw new CaxtonError("INVALID_CONFIG", undefined, { findings: [finding] });
  }
}

function connect(
  { log, onFailed }: StorageOptions,
  target: NatsTarget,
  away: StorageAway,
): Promise<LastingConnection> {
  return connectNats(target, log, {
    away: () => away.away("connection"),
    back: () => away.back("connection"),
    lost: (error) => {
      away.away("connection");
      onFailed(error);
    },
  });
}
