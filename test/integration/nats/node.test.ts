/** A whole node on JetStream: with a nats-server of its own, with a given one, and without any for a while. */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { connect as connectPlain, headers } from "@nats-io/transport-node";
import { afterAll, afterEach, expect, test } from "vitest";
import { EXIT } from "../../../src/base/exit-codes.ts";
import { freePort } from "../../../src/storage/jetstream/free-port.ts";
import { startNatsServer } from "../../support/nats-servers.ts";
import {
  runServerToItsEnd,
  type ServerOptions,
  type ServerProcess,
  startServerProcess,
} from "../../support/server.ts";
import { bytes, fixtureModule, manifest, refusal, Wire } from "../../support/wire.ts";
import { commandOf, removeFolders, temporaryFolder } from "./support.ts";

const SOON = { timeout: 30_000, interval: 50 };
const RECEIVER = "default/adder/nats";
const ARGS = ["--storage", "jetstream"];

const opened: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});
afterAll(removeFolders);

interface Node {
  readonly server: ServerProcess;
  readonly wire: Wire;
}

async function start(options: ServerOptions): Promise<Node> {
  const server = await startServerProcess({ ...options, args: [...ARGS, ...(options.args ?? [])] });
  const wire = new Wire(server.endpoint);
  const stop = async (): Promise<void> => {
    wire.close();
    await server.dispose();
  };
  opened.push({ stop });
  return { server, wire };
}

function add(wire: Wire, id: string): Promise<unknown> {
  return wire.send({ receiver: RECEIVER, id, contentType: "text/plain", content: bytes("1") });
}

/** What the actor has added up. */
async function sum(wire: Wire): Promise<number> {
  return Number((await wire.askText(RECEIVER, "0")).split(" ")[0]);
}

/** Of the nats-server that the node says it runs. */
function natsPid({ server }: Node): number {
  return server.log().findLast(({ msg }) => msg === "the node's nats-server runs")![
    "pid"
  ] as number;
}

function processGroupOf(pid: number): number {
  const afterName = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!;
  return Number(afterName.split(" ")[2]);
}

async function readyz({ server }: Node): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${server.httpPort}/readyz`);
  return answer.text();
}

test("what was acknowledged is there after a kill of the node, and its nats-server is not", async () => {
  const directory = temporaryFolder();
  const killed = await start({ directory });
  await killed.wire.deploy(manifest("adder"), fixtureModule("adder"));
  for (let i = 0; i < 20; i++) await add(killed.wire, `add-${i}`);
  const pid = natsPid(killed);
  // An interrupt from the terminal goes to the node's group; it is not for the nats-server.
  expect(processGroupOf(pid)).toBe(pid);
  await killed.server.kill("SIGKILL");
  const next = await start({ directory });
  expect(commandOf(pid)).toEqual([]);
  await add(next.wire, "add-0");
  expect(await sum(next.wire)).toBe(20);
});

test("stopped in order it takes its nats-server along", async () => {
  const directory = temporaryFolder();
  const node = await start({ directory });
  const pid = natsPid(node);
  expect(commandOf(pid)).not.toEqual([]);
  expect(await node.server.kill("SIGTERM")).toEqual({ code: EXIT.ok, signal: null });
  expect(commandOf(pid)).toEqual([]);
  expect(existsSync(join(directory, "nats/nats-server.pid"))).toBe(false);
});

test("its nats-server is killed: it goes on by itself, and nothing acknowledged is lost", async () => {
  const node = await start({});
  await node.wire.deploy(manifest("adder"), fixtureModule("adder"));
  const sends = Array.from({ length: 40 }, (_, i) => `add-${i}`);
  for (const id of sends.slice(0, 20)) await add(node.wire, id);
  process.kill(natsPid(node), "SIGKILL");
  // These wait for the server that comes.
  for (const id of sends.slice(20)) await add(node.wire, id);
  for (const id of sends) await add(node.wire, id);
  expect(await sum(node.wire)).toBe(40);
  const said = node.server.log().map(({ msg }) => String(msg));
  expect(said).toContain("the node's nats-server runs again");
  expect(said.filter((msg) => /^NATS is back; it was away for/.test(msg))).toHaveLength(1);
  expect(await readyz(node)).toBe("ready\n");
});

test("a plain NATS client reaches agents of a node with a nats-server of its own", async () => {
  const port = await freePort();
  const node = await start({ args: ["--set", `storage.nats.port=${port}`] });
  await node.wire.deploy(manifest("adder"), fixtureModule("adder"));
  const client = await connectPlain({ servers: `127.0.0.1:${port}` });
  opened.push({ stop: () => client.close() });
  const subject = "default.adder.nats";
  const id = headers();
  id.set("Nats-Msg-Id", "once");
  for (let i = 0; i < 2; i++) {
    const ack = await client.request(`caxton.v1.send.${subject}`, "5", {
      headers: id,
      timeout: 5000,
    });
    expect(ack.json()).toMatchObject({ stream: "CAXTON_default_SEND" });
  }
  await expect.poll(() => sum(node.wire), SOON).toBe(5);
  expect((await client.request(`caxton.v1.ask.${subject}`, "2")).string()).toMatch(/^7 /);
  const info = await client.request("$SRV.INFO", "");
  expect(info.json()).toMatchObject({ name: expect.stringContaining("caxton") as unknown });
});

test("clients of its nats-server see nothing of what the node stores and reads", async () => {
  const directory = temporaryFolder();
  const first = await start({ directory });
  await first.wire.deploy(manifest("adder"), fixtureModule("adder"));
  await first.server.kill("SIGTERM");
  const port = await freePort();
  const client = connectPlain({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true });
  const seen: string[] = [];
  const listening = client.then(async (connection) => {
    opened.push({ stop: () => connection.close() });
    connection.subscribe("_INBOX.>", { callback: (_, { subject }) => void seen.push(subject) });
    await connection.flush();
    return connection;
  });
  const node = await start({ directory, args: ["--set", `storage.nats.port=${port}`] });
  const connection = await listening;
  await add(node.wire, "add-1");
  expect(await sum(node.wire)).toBe(1);
  const { agents } = node.wire;
  await node.wire.call(agents.deleteAgent.bind(agents), { namespace: "default", name: "adder" });
  connection.publish("_INBOX.last", "");
  await connection.flush();
  expect(seen).toEqual(["_INBOX.last"]);
});

test("given servers that are away for long: said, refused with a hint, and over when they are back", async () => {
  const nats = await startNatsServer();
  opened.push({ stop: () => nats.dispose() });
  const node = await start({ args: ["--set", `storage.nats.servers=${nats.url}`] });
  await node.wire.deploy(manifest("adder"), fixtureModule("adder"));
  await add(node.wire, "before");
  await nats.kill();
  await expect
    .poll(() => readyz(node), SOON)
    .toMatch(/^not ready\n- storage: nats away for \d+ s\n$/);
  // Sent while it was short, refused when it has become long.
  const waited = await refusal(add(node.wire, "waited"));
  expect(waited.detail).toMatchObject({ code: "STORAGE_UNAVAILABLE" });
  const refused = await refusal(add(node.wire, "refused"));
  expect(refused.message).toMatch(/have been away for \d+ s/);
  expect(refused.detail).toMatchObject({ code: "STORAGE_UNAVAILABLE", retryAfterMs: 1000 });
  expect(refused.detail!.hint).not.toBe("");
  const asked = await refusal(node.wire.askText(RECEIVER, "0"));
  expect(asked.detail).toMatchObject({ code: "STORAGE_UNAVAILABLE" });
  await nats.start();
  await expect.poll(() => readyz(node), SOON).toBe("ready\n");
  for (const id of ["before", "waited", "refused"]) await add(node.wire, id);
  expect(await sum(node.wire)).toBe(3);
});

test("a second node on the same directory is refused, and the first one keeps its nats-server", async () => {
  const directory = temporaryFolder();
  const first = await start({ directory });
  const { code, stderr } = await runServerToItsEnd({ directory, args: ARGS });
  expect(code).toBe(EXIT.conflict);
  expect(stderr).toContain("STORAGE_LOCKED");
  expect(commandOf(natsPid(first))).not.toEqual([]);
  expect(await readyz(first)).toBe("ready\n");
});

test("a directory of one engine is not opened by the other", async () => {
  const embedded = temporaryFolder();
  const before = await startServerProcess({ directory: embedded });
  await before.kill("SIGTERM");
  const toJetStream = await runServerToItsEnd({ directory: embedded, args: ARGS });
  expect(toJetStream.code).toBe(EXIT.invalid);
  expect(toJetStream.stderr).toContain("holds data of the embedded engine");

  const jetstream = temporaryFolder();
  await (await start({ directory: jetstream })).server.kill("SIGTERM");
  const toEmbedded = await runServerToItsEnd({ directory: jetstream });
  expect(toEmbedded.code).toBe(EXIT.invalid);
  expect(toEmbedded.stderr).toContain("is no data directory");
});

test("no nats-server to be found: refused with the way to one", async () => {
  const env = { CAXTON_NATS_SERVER: "/nowhere/nats-server" };
  const { code, stderr } = await runServerToItsEnd({ args: ARGS, env });
  expect(code).toBe(EXIT.conflict);
  expect(stderr).toContain("code: NATS_SERVER_FAILED");
  expect(stderr).toContain("scripts/nats-server.sh");
});

test("the port of its nats-server is taken", async () => {
  const taken = createServer((socket) => socket.end("not NATS\r\n"));
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  opened.push({ stop: () => new Promise((resolve) => taken.close(resolve)) });
  const { port } = taken.address() as { port: number };
  const args = [...ARGS, "--set", `storage.nats.port=${port}`];
  const { code, stderr } = await runServerToItsEnd({ args });
  expect(code).toBe(EXIT.conflict);
  expect(stderr).toContain("code: LISTEN_FAILED");
  expect(stderr).toContain(`storage.nats.port ${port}`);
});

test("an unknown engine is refused by the command line", async () => {
  const { code, stderr } = await runServerToItsEnd({ args: ["--storage", "sqlite"] });
  expect(code).toBe(EXIT.usage);
  expect(stderr).toMatch(/Allowed choices are embedded, jetstream/);
});

test("partitions that rest do not keep what another one writes, and the log stays within its bound", async () => {
  const settings = ["storage.sizeBytesMax=16777216", "retention.logMs=0"];
  const node = await start({ args: settings.flatMap((set) => ["--set", set]) });
  await node.wire.deploy(manifest("echo"), fixtureModule("echo"));
  const content = new Uint8Array(64 * 1024).fill(7);
  const contentType = "application/octet-stream";
  // Five times what the log may hold, all to one partition.
  for (let i = 0; i < 1280; i += 8) {
    const ids = Array.from({ length: 8 }, (_, n) => `echo-${i + n}`);
    const receiver = "default/echo/one";
    await Promise.all(ids.map((id) => node.wire.send({ receiver, id, contentType, content })));
  }
  expect(await readyz(node)).toBe("ready\n");
}, 120_000);
