/** The limits of the account that a node uses: named when a start fails for one, and work goes on when one is raised. */
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, onTestFinished, test } from "vitest";
import { EXIT } from "../../../src/base/exit-codes.ts";
import type { NatsServer, NatsServerOptions } from "../../support/nats-servers.ts";
import { runServerToItsEnd } from "../../support/server.ts";
import { refusal } from "../../support/wire.ts";
import { ADDER, expectSum, keepAdding } from "./adding.ts";
import { deploy, startNats, startNode } from "./node-process.ts";

const SOON = { timeout: 30_000, interval: 50 };
const ENV = { CAXTON_NATS_PASSWORD: "a" };
const USER = "storage.nats.user=a";
const MIB = 1024 * 1024;
/** What all streams of the tests' nodes may take, but for blobs and records. */
const RESERVED = (64 + 3 * 256 + 64) * MIB;

const account = (limits: string): NatsServerOptions => ({
  configuration: `accounts { A { jetstream: { ${limits} }, users: [{ user: a, password: a }] } }`,
  storeBytesMax: 4 * 1024 * MIB,
  user: "a",
  password: "a",
});

/** Takes hold at once. */
function relimit(nats: NatsServer, limits: string): void {
  nats.reconfigure((text) => text.replace(/jetstream: \{.*?\}/, `jetstream: { ${limits} }`));
  process.kill(nats.pid!, "SIGHUP");
}

test.each([
  ["max_file: 10MB", "STORAGE_FULL", "CAXTON_default_LOG_0 of 67108864 bytes"],
  ["max_file: 100MB", "STORAGE_FULL", "CAXTON_default_SEND of 268435456 bytes"],
  ["max_streams: 2", "STORAGE_LAYOUT", "CAXTON_default_RECORDS"],
  ["max_streams: 6", "STORAGE_LAYOUT", "CAXTON_default_DEAD_LETTERS"],
])("a start that %s does not allow is refused with %s", async (limits, code, what) => {
  const nats = await startNats(account(limits));
  const sets = ["storage.engine=jetstream", `storage.nats.servers=${nats.url}`, USER];
  const { code: exit, stderr } = await runServerToItsEnd({ sets, env: ENV });
  expect(exit).not.toBe(EXIT.ok);
  expect(stderr).toContain(`code: ${code}`);
  const [said] = /^error: .*$/m.exec(stderr)!;
  expect(said).toContain(what);
  expect(said).toMatch(code === "STORAGE_FULL" ? /the account's limit/ : /max_streams/);
});

test("storage that the account no longer has is refused, and taken again when it has", async () => {
  const nats = await startNats(account(`max_file: ${RESERVED + 16 * MIB}`));
  const node = await startNode(nats.url, { sets: [USER], env: ENV });
  await deploy(node, "adder");
  const adding = keepAdding(node.wire);
  relimit(nats, "max_file: 1000");
  await expect.poll(() => node.readyz(), SOON).toContain("STORAGE_FULL");
  const refused = await refusal(node.wire.askText(ADDER, "0"));
  expect(refused.detail).toMatchObject({ code: "STORAGE_FULL", retryable: true });
  relimit(nats, `max_file: ${RESERVED + 16 * MIB}`);
  await expect.poll(() => node.readyz(), SOON).toBe("ready\n");
  await expectSum(node.wire, await adding.stop());
  expect([...adding.codes].filter((code) => code !== "STORAGE_FULL")).toEqual([]);
});

test("without consumers what is queued waits, and is taken in when the account may have more", async () => {
  const nats = await startNats(account("max_consumers: 1"));
  const node = await startNode(nats.url, { sets: [USER], env: ENV });
  await deploy(node, "adder");
  const client = await connect({ servers: nats.url, user: "a", pass: "a" });
  onTestFinished(() => client.close());
  for (let n = 0; n < 20; n++) {
    await jetstream(client).publish(`caxton.v1.send.default.adder.a${n}`, "1");
  }
  const reasons = (): string[] => node.server.log().map(({ err }) => JSON.stringify(err));
  await expect.poll(() => reasons().join("\n"), SOON).toContain("maximum consumers limit reached");
  relimit(nats, "max_consumers: 100");
  const sums = () =>
    Promise.all(
      Array.from({ length: 20 }, (_, n) => node.wire.askText(`default/adder/a${n}`, "0")),
    );
  await expect
    .poll(async () => (await sums()).filter((text) => text.startsWith("1 ")), SOON)
    .toHaveLength(20);
});
