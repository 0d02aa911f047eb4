/** A nats-server of the node's own that hangs: ended and started again, and never for being slow. */
import { readFileSync } from "node:fs";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, expect, test } from "vitest";
import { connectNats } from "../../../src/storage/jetstream/connect.ts";
import { findNatsServer } from "../../../src/storage/jetstream/find-nats-server.ts";
import { hangs } from "../../../src/storage/jetstream/hang-watch.ts";
import { ManagedNatsServer } from "../../../src/storage/jetstream/managed-server.ts";
import { passwordLogin } from "../../../src/storage/jetstream/nats-login.ts";
import { commandOf, listeningLog, removeFolders, temporaryFolder } from "./support.ts";

const SOON = { timeout: 30_000, interval: 20 };

const opened: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});
afterAll(removeFolders);

async function start(silentMsMax?: number) {
  const { log, lines } = listeningLog();
  const server = await ManagedNatsServer.start({
    directory: temporaryFolder(),
    binary: await findNatsServer(process.env),
    nats: { durability: "durable", port: 0 },
    clientPassword: undefined,
    log,
    ...(silentMsMax !== undefined && { silentMsMax }),
  });
  opened.push(server);
  return { server, said: () => lines().map(({ msg }) => String(msg)) };
}

/** As the node is connected, which outlives the server. */
async function connect(server: ManagedNatsServer) {
  const events: string[] = [];
  const link = await connectNats(
    {
      servers: [`127.0.0.1:${server.port}`],
      login: passwordLogin("caxton", server.password),
      name: "test",
      cluster: "default",
    },
    listeningLog().log,
    { away: () => events.push("away"), back: () => events.push("back") },
  );
  opened.push({ stop: () => link.close() });
  return { connection: link.connection, events };
}

async function store(connection: NatsConnection, text: string): Promise<number> {
  return (await jetstream(connection).publish("_caxton.kept", text)).seq;
}

test("one that hangs is ended and started again, with all that it acknowledged", async () => {
  const { server, said } = await start(900);
  const { connection, events } = await connect(server);
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "KEPT", subjects: ["_caxton.kept"] });
  await store(connection, "before");
  const before = server.pid!;
  process.kill(before, "SIGSTOP");
  await expect.poll(said, SOON).toContain("the node's nats-server runs again");
  expect(said()).toContain("the node's nats-server hangs: it is ended");
  expect(server.pid).not.toBe(before);
  expect(commandOf(before)).toEqual([]);
  await expect.poll(() => events, SOON).toEqual(["away", "back"]);
  expect(await store(connection, "after")).toBe(2);
  // The new one is looked at as well.
  process.kill(server.pid!, "SIGSTOP");
  const hung = (): number => said().filter((msg) => msg.includes("hangs")).length;
  await expect.poll(hung, SOON).toBe(2);
});

test("one that pauses for less than the bound goes on as it was", async () => {
  const { server, said } = await start();
  const { connection } = await connect(server);
  const before = server.pid!;
  process.kill(before, "SIGSTOP");
  // A signal is not there at once.
  await expect.poll(() => stateOf(before), SOON).toBe("T");
  await expect(connection.request("$JS.API.INFO", "", { timeout: 1500 })).rejects.toThrow(/time/i);
  process.kill(before, "SIGCONT");
  await connection.request("$JS.API.INFO", "", { timeout: 20_000 });
  expect(server.pid).toBe(before);
  expect(said()).toEqual([]);
});

/** One letter: T is stopped. */
function stateOf(pid: number): string {
  const status = readFileSync(`/proc/${pid}/stat`, "utf8");
  return status.slice(status.lastIndexOf(")") + 2, status.lastIndexOf(")") + 3);
}

/** Answers as told, then ends. */
function scripted(answers: readonly boolean[]) {
  const left = [...answers];
  const tries: number[] = [];
  const answersNext = (withinMs: number): Promise<boolean> => {
    tries.push(withinMs);
    return Promise.resolve(left.shift()!);
  };
  const watched = {
    answers: answersNext,
    get hasEnded() {
      return left.length === 0;
    },
  };
  return { watched, tries };
}

test("only silence without a break counts, the whole bound of it", async () => {
  const slow = [false, false, true, false, true, false, false, true, true];
  expect(await hangs(scripted(slow).watched, 3)).toBe(false);
  const hung = scripted([...slow, false, false, false, true]);
  expect(await hangs(hung.watched, 3)).toBe(true);
  expect(hung.tries).toEqual(Array.from({ length: slow.length + 3 }, () => 1));
});
