/** Two nodes on the same streams: the second one takes over, exactly one acts, the other says why it does not. */
import { afterAll, afterEach, expect, test } from "vitest";
import { startNatsServer } from "../../support/nats-servers.ts";
import { type ServerProcess, startServerProcess } from "../../support/server.ts";
import { bytes, fixtureModule, manifest, Wire } from "../../support/wire.ts";
import { removeFolders, temporaryFolder } from "./support.ts";

const SOON = { timeout: 30_000, interval: 50 };
const SENDERS = 8;

const opened: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});
afterAll(removeFolders);

async function startNode(url: string): Promise<{ server: ServerProcess; wire: Wire }> {
  const server = await startServerProcess({
    directory: temporaryFolder(),
    sets: ["storage.engine=jetstream", `storage.nats.servers=${url}`],
  });
  const wire = new Wire(server.endpoint);
  opened.push({
    stop: async () => {
      wire.close();
      await server.dispose();
    },
  });
  return { server, wire };
}

const receiverOf = (sender: number): string => `default/adder/s${sender}`;

/** Sends ones until it is refused; resolves with how many were acknowledged. */
async function sendUntilRefused(wire: Wire, sender: number): Promise<number> {
  for (let acked = 0; ; acked++) {
    const receiver = receiverOf(sender);
    const id = `s${sender}-${acked}`;
    try {
      await wire.send({ receiver, id, contentType: "text/plain", content: bytes("1") });
    } catch {
      return acked;
    }
  }
}

async function readyz({ httpPort }: ServerProcess): Promise<string> {
  return (await fetch(`http://127.0.0.1:${httpPort}/readyz`)).text();
}

test("the first one stops under load, and the second has all that it acknowledged, once", async () => {
  const nats = await startNatsServer();
  opened.push({ stop: () => nats.dispose() });
  const first = await startNode(nats.url);
  await first.wire.deploy(manifest("adder"), fixtureModule("adder"));
  const sending = Promise.all(
    Array.from({ length: SENDERS }, (_, sender) => sendUntilRefused(first.wire, sender)),
  );
  const second = await startNode(nats.url);
  const acked = await sending;
  await expect.poll(() => readyz(first.server), SOON).toContain("PARTITION_FENCED");
  expect(await readyz(second.server)).toBe("ready\n");
  expect(Math.min(...acked)).toBeGreaterThan(0);
  for (const [sender, count] of acked.entries()) {
    // The one that was refused may have been accepted: sent again it is known or new.
    const receiver = receiverOf(sender);
    const last = { receiver, id: `s${sender}-${count}`, contentType: "text/plain" };
    await second.wire.send({ ...last, content: bytes("1") });
    const sum = async (): Promise<number> =>
      Number((await second.wire.askText(receiver, "0")).split(" ")[0]);
    await expect.poll(sum, SOON).toBe(count + 1);
  }
  const said = first.server.log().filter(({ level }) => level === 60);
  expect(said).toMatchObject([{ code: "PARTITION_FENCED", msg: "the node can't go on" }]);
});
