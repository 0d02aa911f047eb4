/** The disk under a nats-server is full: nothing is accepted, nothing acknowledged is lost, and all goes on with room. */
import { connect as connectPlain, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../src/storage/jetstream/free-port.ts";
import { refusal } from "../../support/wire.ts";
import { ADDER, expectSum, keepAdding } from "./adding.ts";
import { deploy, startNode } from "./node-process.ts";
import { smallDisk } from "./small-disk.ts";
import { removeFolders } from "./support.ts";

const SOON = { timeout: 30_000, interval: 50 };

afterAll(removeFolders);

/** Again with the same id until it is acknowledged. */
async function publish(client: NatsConnection, content: string, id: string): Promise<void> {
  const options = { timeout: 1000, headers: headers() };
  options.headers.set("Nats-Msg-Id", id);
  const attempt = async (): Promise<unknown> =>
    (await client.request("caxton.v1.send.default.adder.nats", content, options)).json();
  await expect
    .poll(() => attempt().catch(() => undefined), SOON)
    .toMatchObject({ stream: "CAXTON_default_SEND" });
}

test("a node with a nats-server of its own refuses before anything fails, and goes on by itself", async ({
  skip,
}) => {
  const disk = await smallDisk(160);
  if (disk === undefined) return skip();
  const port = await freePort();
  const { directory, via } = disk;
  const node = await startNode(undefined, { directory, via, sets: [`storage.nats.port=${port}`] });
  await deploy(node, "adder");
  const client = await connectPlain({
    servers: `127.0.0.1:${port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  onTestFinished(() => client.close());
  const adding = keepAdding(node.wire);
  disk.fill(32);
  await expect.poll(() => node.readyz(), SOON).toContain("STORAGE_FULL");
  expect(node.said()).toContain("the disk is full: nothing is stored until there is room");
  const refused = await refusal(node.wire.askText(ADDER, "0"));
  expect(refused.detail).toMatchObject({ code: "STORAGE_FULL", retryable: true });
  // Now its last byte goes, and what a client sends past the node fails in the nats-server.
  disk.fill(0);
  const sent = client.request("caxton.v1.send.default.adder.nats", "1000".padStart(500_000, "0"), {
    timeout: 1000,
  });
  await expect(sent).rejects.toThrow(/time/i);
  disk.empty();
  await expect.poll(() => node.said(), SOON).toContain("the node's nats-server runs again");
  await publish(client, "5", "five");
  const acked = await adding.stop();
  await expectSum(node.wire, acked + 5);
  expect([...adding.codes].filter((code) => code !== "STORAGE_FULL")).toEqual([]);
});
