/** A log that fills while the node runs makes room by itself: everything is taken in the end, exactly once. */
import { describe, expect, onTestFinished, test } from "vitest";
import { OutgoingMessage } from "../../src/gen/caxton/v1/message.ts";
import { startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, Wire, WireError } from "../support/wire.ts";

const MIB = 1024 * 1024;
const SIZE_BYTES_MAX = 16 * MIB;
/** A one with zeros before it: large, and still a number. */
const CONTENT = bytes("1".padStart(200_000, "0"));
/** Twice what fits. */
const SENDS = 160;
const AT_ONCE = 8;
const ANSWER_MS = 20_000;
/** Ways out of a full log that ask nothing of whoever runs the node. */
const PASSING = new Set(["STORAGE_FULL"]);

/** A node whose checkpoints nothing but want of room brings about. */
async function startSmall(engine: string): Promise<Wire> {
  const sets = [
    `storage.sizeBytesMax=${SIZE_BYTES_MAX}`,
    "snapshots.logBytesMax=1000000000",
    "snapshots.turnsMax=1000000",
    "snapshots.intervalMs=86400000",
  ];
  const server = await startServerProcess({ sets, args: ["--storage", engine] });
  onTestFinished(() => server.dispose());
  const wire = new Wire(server.endpoint);
  onTestFinished(() => {
    wire.close();
  });
  await wire.deploy(manifest("adder"), fixtureModule("adder"));
  return wire;
}

/** Sends it again until it is taken; how often there was no room. */
async function sendUntilTaken(wire: Wire, receiver: string, id: string): Promise<number> {
  const { messages } = wire;
  const fields = { receiver, id, contentType: "text/plain", content: CONTENT };
  const request = { message: OutgoingMessage.create(fields) };
  for (let refusals = 0; ; refusals++) {
    try {
      await wire.call(messages.sendMessage.bind(messages), request, { timeoutMs: ANSWER_MS });
      return refusals;
    } catch (error) {
      if (!(error instanceof WireError) || !PASSING.has(error.detail?.code ?? "")) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.detail!.retryAfterMs));
    }
  }
}

/** Sends to these actors in turn, some at once; how often there was no room. */
async function sendTo(wire: Wire, receivers: readonly string[]): Promise<number> {
  let next = 0;
  let refusals = 0;
  const sender = async (): Promise<void> => {
    while (next < SENDS) {
      const n = next++;
      refusals += await sendUntilTaken(wire, receivers[n % receivers.length]!, `n-${n}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
  return refusals;
}

const ACTORS = Array.from({ length: 40 }, (_, n) => `default/adder/a${n}`);

describe.each(["embedded", "jetstream"])("%s", (engine) => {
  test.each([
    ["one actor", ACTORS.slice(0, 1)],
    ["actors of all partitions", ACTORS],
  ])("a log that %s filled makes room by itself", async (_, receivers) => {
    const wire = await startSmall(engine);
    // What rests has old frames, and no reason for a checkpoint of its own.
    for (const receiver of ACTORS) await wire.askText(receiver, "0");
    await sendTo(wire, receivers);
    const { node } = wire;
    const isReady = async () => (await wire.call(node.getStatus.bind(node), {})).status!.ready;
    await expect.poll(isReady, { timeout: ANSWER_MS }).toBe(true);
    const each = SENDS / receivers.length;
    for (const receiver of receivers) {
      expect(await wire.askText(receiver, "0")).toBe(`${each} ${each + 2}`);
    }
  });
});
