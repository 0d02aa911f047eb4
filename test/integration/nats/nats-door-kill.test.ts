/** The node is killed again and again under messages of NATS clients: each takes effect once, in order. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  connectAs,
  newDirectory,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import type { NatsServer } from "../../support/nats-servers.ts";
import { until } from "../../support/until.ts";

const MAIN = join(import.meta.dirname, "nats-door-node/main.ts");
const ACTORS = 10;
const EACH = 600;
const KILLS = 6;

const directory = newDirectory();
let server: NatsServer;
let client: NatsConnection;
let child: ChildProcess | undefined;

async function start(): Promise<void> {
  const args = ["--disable-wasm-trap-handler", MAIN, directory.path, String(server.port)];
  const started = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  child = started;
  await new Promise<void>((resolve, reject) => {
    started.stdout.once("data", () => resolve());
    started.once("exit", (code) => reject(new Error(`the node ended with ${code}`)));
  });
}

async function kill(): Promise<void> {
  const ended = new Promise((resolve) => child!.once("exit", resolve));
  child!.kill("SIGKILL");
  await ended;
}

beforeAll(async () => {
  server = await startDoorServer();
  client = await connectAs(server, "client");
  await start();
});

afterAll(async () => {
  if (child?.exitCode === null && child.signalCode === null) await kill();
  await client.close();
  await server.dispose();
  directory.remove();
});

async function publishAll(): Promise<void> {
  const js = jetstream(client);
  for (let n = 1; n <= EACH; n++) {
    const acks = Array.from({ length: ACTORS }, (_, actor) => {
      const subject = `caxton.v1.send.default.sequence.${actor}`;
      // Half of them have ids of their own.
      if (actor % 2 === 0) return js.publish(subject, `nats ${n}`);
      const own = headers();
      own.set("Nats-Msg-Id", `${actor}-${n}`);
      return js.publish(subject, `nats ${n}`, { headers: own });
    });
    await Promise.all(acks);
  }
}

async function ask(address: string, text: string): Promise<string> {
  const options = { timeout: 10_000, headers: headers() };
  options.headers.set("Content-Type", "text/plain");
  try {
    return (await client.request(`caxton.v1.ask.${address}`, text, options)).string();
  } catch {
    // Nobody is there to answer, or nobody was.
    return "";
  }
}

test("nothing is lost, done twice or out of order", async () => {
  const publishing = publishAll();
  for (let kills = 0; kills < KILLS; kills++) {
    // Some work is done before the next one.
    await until(async () => (await ask("default.probe.x", "count 1")) !== "");
    await kill();
    await start();
  }
  await publishing;
  await kill();
  const sets = ["limits.crashIntentsMax=100"];
  const node = await startDoorNode({ directory: directory.path, server, sets });
  try {
    for (let actor = 0; actor < ACTORS; actor++) {
      const { actors } = node.kernel;
      const sequence = async (): Promise<string> => {
        const { value } = await actors.getState(`default/sequence/${actor}`, "nats");
        return Buffer.from(value).toString();
      };
      await until(async () => Number((await sequence()).split(" ")[0]) >= EACH);
      // Count, last, sum, and how many did not follow the one before.
      expect(await sequence()).toBe(`${EACH} ${EACH} ${(EACH * (EACH + 1)) / 2} 0`);
    }
  } finally {
    await node.stop();
  }
});
