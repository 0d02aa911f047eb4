/** A node on the embedded store with the door for NATS clients, in this process, and a NATS server beside it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type Logger, pino } from "pino";
import { type RunningKernel, startKernel } from "../../src/actors/index.ts";
import { type ApiContext, ApiMetrics, startNatsDoor } from "../../src/api/index.ts";
import type { StreamSizes } from "../../src/api/nats/streams.ts";
import { LiveConfig } from "../../src/base/live-config.ts";
import { RecentLog } from "../../src/base/recent-log.ts";
import { openEmbeddedStorage } from "../../src/storage/index.ts";
import { type NatsServer, startNatsServer } from "./nats-servers.ts";
import { fixtureModule, manifest } from "./wire.ts";

/**
 * Clients have an account of their own, as docs/nats.md says: what they publish comes over by import, and an
 * answer to it stays on their side, whatever subject they name for it.
 */
const ACCOUNTS = `
accounts {
  CAXTON {
    jetstream: enabled
    users: [{ user: node, password: node }]
    exports: [
      { service: "caxton.v1.send.*.*.*" }
      { service: "caxton.v1.ask.*.*.*" }
      { service: "$SRV.>", response_type: stream }
      { service: "caxton.v1.topic.>" }
      { stream: "caxton.v1.topic.>" }
      { stream: "caxton.v1.events.>" }
      { stream: "caxton.v1.errors.>" }
    ]
  }
  CLIENTS {
    users: [{ user: client, password: client }]
    imports: [
      { service: { account: CAXTON, subject: "caxton.v1.send.*.*.*" } }
      { service: { account: CAXTON, subject: "caxton.v1.ask.*.*.*" } }
      { service: { account: CAXTON, subject: "$SRV.>" } }
      { service: { account: CAXTON, subject: "caxton.v1.topic.>" } }
      { stream: { account: CAXTON, subject: "caxton.v1.topic.>" } }
      { stream: { account: CAXTON, subject: "caxton.v1.events.>" } }
      { stream: { account: CAXTON, subject: "caxton.v1.errors.>" } }
    ]
  }
}
`;

export function startDoorServer(more: { syncAlways?: boolean } = {}): Promise<NatsServer> {
  return startNatsServer({
    syncAlways: false,
    configuration: ACCOUNTS,
    user: "node",
    password: "node",
    ...more,
  });
}

export function connectAs(
  server: Pick<NatsServer, "url">,
  user: "node" | "client",
): Promise<NatsConnection> {
  return connect({
    servers: server.url,
    user,
    pass: user,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
}

export interface DoorNodeOptions {
  readonly directory: string;
  readonly server: Pick<NatsServer, "url">;
  readonly partitions?: number;
  readonly sets?: readonly string[];
  readonly sizes?: Partial<StreamSizes>;
  readonly log?: Logger;
}

export interface DoorNode {
  readonly kernel: RunningKernel;
  deploy(name: string, spec?: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startDoorNode(options: DoorNodeOptions): Promise<DoorNode> {
  const { directory, server, partitions = 16, sets = [], sizes = {} } = options;
  const log = options.log ?? pino({ enabled: false });
  const live = new LiveConfig({
    sets: [
      `storage.directory=${directory}`,
      "storage.sizeBytesMax=268435456",
      "workers.count=1",
      `partitions.count=${partitions}`,
      ...sets,
    ],
  });
  const config = live.current;
  const storage = await openEmbeddedStorage(config.storage);
  const kernel = await startKernel({ storage, config, log });
  const metrics = new ApiMetrics();
  const context: ApiContext = {
    kernel,
    config: live,
    log,
    recentLog: new RecentLog(),
    metrics,
    spans: undefined,
  };
  const connection = await connectAs(server, "node");
  const stopKernel = async (): Promise<void> => {
    await connection.close();
    await kernel.stop();
    await storage.close();
    metrics.close();
  };
  const doorOptions = { connection, cluster: "test", partitions, replicas: 1, context, log, sizes };
  const door = await startNatsDoor(doorOptions).catch(async (error: unknown) => {
    await stopKernel();
    throw error;
  });
  return {
    kernel,
    deploy: async (name, spec) => {
      const source = { kind: "module" as const, bytes: fixtureModule(name) };
      await kernel.agents.deploy({ manifest: manifest(name, spec), source, resetMemory: false });
    },
    stop: async () => {
      await door.stop();
      await stopKernel();
    },
  };
}

export function newDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "caxton-door-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
