/** A nats-server of the node's own: started, kept running, and never left behind. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect as connectPlain, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, expect, test } from "vitest";
import { CaxtonError } from "../../../src/base/errors.ts";
import { connectNats } from "../../../src/storage/jetstream/connect.ts";
import { findNatsServer } from "../../../src/storage/jetstream/find-nats-server.ts";
import { ManagedNatsServer } from "../../../src/storage/jetstream/managed-server.ts";
import { passwordLogin } from "../../../src/storage/jetstream/nats-login.ts";
import {
  childrenOf,
  commandOf,
  listeningLog,
  type ManagedNode,
  removeFolders,
  startManagedNode,
  temporaryFolder,
} from "./support.ts";

const SOON = { timeout: 20_000, interval: 20 };

const opened: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});
afterAll(removeFolders);

interface Wanted {
  readonly directory?: string;
  readonly port?: number;
  readonly binary?: string;
  readonly durability?: "durable" | "fast";
  readonly clientPassword?: string;
}

async function start(wanted: Wanted = {}) {
  const { log, lines } = listeningLog();
  const directory = wanted.directory ?? temporaryFolder();
  const server = await ManagedNatsServer.start({
    directory,
    binary: wanted.binary ?? (await findNatsServer(process.env)),
    nats: { durability: wanted.durability ?? "durable", port: wanted.port ?? 0 },
    clientPassword: wanted.clientPassword,
    log,
  });
  opened.push(server);
  return { server, directory, lines };
}

async function refusal(starting: Promise<unknown>): Promise<CaxtonError> {
  const error: unknown = await starting.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CaxtonError) return error;
  throw new Error("it was not refused", { cause: error });
}

async function asNode(server: ManagedNatsServer): Promise<NatsConnection> {
  const link = await connectNats(
    {
      servers: [`127.0.0.1:${server.port}`],
      login: passwordLogin("caxton", server.password),
      name: "test",
      cluster: "default",
    },
    listeningLog().log,
  );
  opened.push({ stop: () => link.close() });
  return link.connection;
}

async function asClient(port: number, password?: string): Promise<NatsConnection> {
  const login = password === undefined ? {} : { user: "client", pass: password };
  const connection = await connectPlain({ servers: `127.0.0.1:${port}`, ...login });
  opened.push({ stop: () => connection.close() });
  return connection;
}

async function node(directory: string): Promise<ManagedNode> {
  const started = await startManagedNode(directory);
  opened.push({ stop: () => started.kill() });
  return started;
}

test("it serves JetStream, keeps its data below the directory, and its secrets to itself", async () => {
  const { server, directory } = await start();
  const manager = await jetstreamManager(await asNode(server));
  await manager.streams.add({ name: "KEPT", subjects: ["_caxton.kept"] });
  expect(existsSync(join(directory, "nats/jetstream"))).toBe(true);
  expect(statSync(join(directory, "nats")).mode & 0o777).toBe(0o700);
  const configuration = join(directory, "nats/nats-server.conf");
  expect(statSync(configuration).mode & 0o777).toBe(0o600);
  expect(readFileSync(configuration, "utf8")).toContain('"sync_interval": "always"');
  expect(commandOf(server.pid!).join(" ")).not.toContain(server.password);
});

test("the fast profile syncs now and then", async () => {
  const { directory } = await start({ durability: "fast" });
  const configuration = readFileSync(join(directory, "nats/nats-server.conf"), "utf8");
  expect(configuration).toContain('"sync_interval": "2m"');
});

test("stopped and started again it has its data, behind another password", async () => {
  const first = await start();
  const stream = { name: "KEPT", subjects: ["_caxton.kept"] };
  const connection = await asNode(first.server);
  await (await jetstreamManager(connection)).streams.add(stream);
  await jetstream(connection).publish("_caxton.kept", "content");
  await connection.close();
  await first.server.stop();
  expect(commandOf(first.server.pid!)).toEqual([]);
  const { server } = await start({ directory: first.directory });
  expect(server.password).not.toBe(first.server.password);
  const manager = await jetstreamManager(await asNode(server));
  expect((await manager.streams.info("KEPT")).state.messages).toBe(1);
});

test("clients reach what is for clients, and nothing else", async () => {
  const { server } = await start();
  const [owner, client, other] = [
    await asNode(server),
    await asClient(server.port),
    await asClient(server.port),
  ];
  const complaints: string[] = [];
  void (async () => {
    for await (const status of client.status()) {
      if (status.type === "error") complaints.push(status.error.message);
    }
  })();
  owner.subscribe("caxton.v1.ask.>", {
    callback: (_, message) => void message.respond("answer"),
  });
  await owner.flush();
  expect((await client.request("caxton.v1.ask.a.b.c", "")).string()).toBe("answer");
  const topics: string[] = [];
  other.subscribe("caxton.v1.topic.>", {
    callback: (_, message) => void topics.push(message.string()),
  });
  await other.flush();
  client.publish("caxton.v1.topic.news", "new");
  await expect.poll(() => topics, SOON).toEqual(["new"]);

  const publishes = [
    "_caxton.default.log.0",
    "$JS.API.STREAM.LIST",
    "caxton.v1.events.a.b.c",
    "else",
  ];
  const subscribes = ["_caxton.>", "$JS.>", "caxton.v1.ask.>", "caxton.v1.send.>", ">"];
  for (const subject of publishes) client.publish(subject, "");
  for (const subject of subscribes) client.subscribe(subject, { callback: () => undefined });
  await client.flush();
  await expect.poll(() => complaints.length, SOON).toBe(publishes.length + subscribes.length);
  for (const subject of [...publishes, ...subscribes]) {
    expect(complaints.filter((each) => each.includes(`"${subject}"`))).toHaveLength(1);
  }
});

test("a client never sees what the node is answered", async () => {
  const { server } = await start();
  const [owner, client] = [await asNode(server), await asClient(server.port)];
  const seen: string[] = [];
  client.subscribe("_INBOX.>", { callback: (_, message) => void seen.push(message.subject) });
  await client.flush();
  await jetstreamManager(owner);
  owner.publish("_INBOX.of.the.node", "");
  await owner.flush();
  client.publish("_INBOX.of.a.client", "");
  await client.flush();
  expect(seen).toEqual(["_INBOX.of.a.client"]);
});

test("a password for clients is asked of them", async () => {
  const { server } = await start({ clientPassword: "open sesame" });
  await expect(asClient(server.port)).rejects.toThrow(/authorization/i);
  await expect(asClient(server.port, "wrong")).rejects.toThrow(/authorization/i);
  const client = await asClient(server.port, "open sesame");
  await client.flush();
});

test("killed it comes back by itself, on its port, with its data", async () => {
  const { server, lines } = await start();
  const connection = await asNode(server);
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "KEPT", subjects: ["_caxton.kept"] });
  await jetstream(connection).publish("_caxton.kept", "content");
  const before = server.pid!;
  process.kill(before, "SIGKILL");
  await expect
    .poll(() => lines().map(({ msg }) => msg), SOON)
    .toContain("the node's nats-server runs again");
  expect(server.pid).not.toBe(before);
  const again = await asNode(server);
  expect((await (await jetstreamManager(again)).streams.info("KEPT")).state.messages).toBe(1);
  expect(lines()).toContainEqual(expect.objectContaining({ why: "SIGKILL" }));
});

test("stopped in the pause before a restart it stays stopped", async () => {
  const { server, directory, lines } = await start();
  process.kill(server.pid!, "SIGKILL");
  await expect.poll(() => lines().map(({ why }) => why), SOON).toContain("SIGKILL");
  await server.stop();
  expect(existsSync(join(directory, "nats/nats-server.pid"))).toBe(false);
  await start({ directory });
});

test("it ends with a node that is killed", async () => {
  const killed = await node(temporaryFolder());
  expect(commandOf(killed.serverPid)).not.toEqual([]);
  await killed.kill();
  await expect.poll(() => commandOf(killed.serverPid), SOON).toEqual([]);
});

test("one that is paused ends with its node as well", async () => {
  const killed = await node(temporaryFolder());
  process.kill(killed.serverPid, "SIGSTOP");
  await killed.kill();
  await expect.poll(() => commandOf(killed.serverPid), SOON).toEqual([]);
});

/** Kills the shell that would have ended the server, then the node. */
async function leaveBehind(directory: string): Promise<number> {
  const killed = await node(directory);
  const shells = childrenOf(killed.pid).filter((pid) =>
    commandOf(pid).includes("caxton-nats-watch"),
  );
  expect(shells).toHaveLength(1);
  process.kill(shells[0]!, "SIGKILL");
  await killed.kill();
  expect(commandOf(killed.serverPid)).not.toEqual([]);
  return killed.serverPid;
}

test("a left-over one is known by its folder and ended", async () => {
  const directory = temporaryFolder();
  const left = await leaveBehind(directory);
  const { server, lines } = await start({ directory });
  expect(commandOf(left)).toEqual([]);
  expect(server.pid).not.toBe(left);
  expect(lines()).toContainEqual(
    expect.objectContaining({
      pid: left,
      msg: "ending a nats-server that an earlier node left over",
    }),
  );
});

test("a left-over one that is paused is ended too", async () => {
  const directory = temporaryFolder();
  const left = await leaveBehind(directory);
  process.kill(left, "SIGSTOP");
  await start({ directory });
  expect(commandOf(left)).toEqual([]);
});

test("a process that merely has the pid of an old one is left alone", async () => {
  const other = await start();
  const directory = temporaryFolder();
  mkdirSync(join(directory, "nats"));
  writeFileSync(join(directory, "nats/nats-server.pid"), `${other.server.pid!}`);
  const { server } = await start({ directory });
  expect(server.pid).not.toBe(other.server.pid);
  expect(commandOf(other.server.pid!)).not.toEqual([]);
});

test("a port that was asked for and is taken is said so", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  opened.push({ stop: () => new Promise((resolve) => taken.close(resolve)) });
  const { port } = taken.address() as { port: number };
  const error = await refusal(start({ port }));
  expect(error.code).toBe("LISTEN_FAILED");
  expect(error.message).toContain(`storage.nats.port ${port}`);
});

test("a program that does not run is refused with what it said", async () => {
  const directory = temporaryFolder();
  const binary = join(directory, "nats-server");
  writeFileSync(binary, "#!/bin/sh\necho 'nats-server: out of order' >&2\nexit 3\n");
  chmodSync(binary, 0o755);
  const error = await refusal(start({ directory, binary }));
  expect(error.code).toBe("NATS_SERVER_FAILED");
  expect(error.message).toContain("out of order");
  expect(error.message).toContain("code 3");
});

test("a program that is not there is refused", async () => {
  const error = await refusal(start({ binary: "/nowhere/nats-server" }));
  expect(error.code).toBe("NATS_SERVER_FAILED");
  expect(error.message).toContain("ENOENT");
});

test("which nats-server is taken", async () => {
  const folder = temporaryFolder();
  const make = (path: string, version: string): string => {
    mkdirSync(join(folder, path));
    const file = join(folder, path, "nats-server");
    writeFileSync(file, `#!/bin/sh\necho 'nats-server: v${version}'\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const [old, young, fetched] = [
    make("old", "2.11.9"),
    make("young", "2.12.0"),
    make("fetched", "2.15.1"),
  ];
  const PATH = `/nowhere:${join(folder, "young")}:${join(folder, "old")}`;
  const none = join(folder, "none");
  expect(await findNatsServer({ PATH }, none)).toBe(young);
  expect(await findNatsServer({ PATH, CAXTON_NATS_SERVER: fetched }, none)).toBe(fetched);
  expect(await findNatsServer({ PATH: join(folder, "old") }, folder)).toMatch(/fetched|young/);
  const tooOld = await refusal(findNatsServer({ PATH: join(folder, "old") }, none));
  expect(tooOld.code).toBe("NATS_SERVER_FAILED");
  expect(tooOld.message).toContain(`${old} is 2.11.9`);
  const absent = await refusal(findNatsServer({ PATH: "/nowhere" }, none));
  expect(absent.message).toContain("there is none");
  const given = await refusal(findNatsServer({ PATH, CAXTON_NATS_SERVER: "/absent/it" }, none));
  expect(given.message).toContain("/absent/it is not to be run");
});
