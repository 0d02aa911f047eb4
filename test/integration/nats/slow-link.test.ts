/** A node whose NATS servers are far away, over a link that stalls: slow is not away, and nothing is lost or done twice. */
import { expect, test } from "vitest";
import { bytes, WireError } from "../../support/wire.ts";
import { deploy, type NodeProcess, startNats, startNode } from "./node-process.ts";
import { slowLink } from "./slow-link.ts";

const SOON = { timeout: 30_000, interval: 50 };
const KEYS = Array.from({ length: 8 }, (_, n) => `k${n}`);
/** Partitions are recovered one after the other, and each asks its servers four times. */
const SETS = ["partitions.count=1"];

function add({ wire }: NodeProcess, key: string, n: number): Promise<unknown> {
  const message = { receiver: `default/adder/${key}`, contentType: "text/plain" };
  return wire.send({ ...message, id: `${key}-${n}`, content: bytes("1") });
}

/** Resolves with how many were acknowledged before another node had taken over. */
async function addUntilFenced(node: NodeProcess, key: string): Promise<number> {
  for (let acked = 0; ; acked++) {
    try {
      await add(node, key, acked);
    } catch (error) {
      expect(error).toBeInstanceOf(WireError);
      expect((error as WireError).detail?.code).toBe("PARTITION_FENCED");
      return acked;
    }
  }
}

async function sums({ wire }: NodeProcess): Promise<number[]> {
  const answers = KEYS.map((key) => wire.askText(`default/adder/${key}`, "0"));
  return (await Promise.all(answers)).map((text) => Number(text.split(" ")[0]));
}

test("it takes over, works, and is taken over, and nobody is said to be away", async () => {
  const nats = await startNats();
  const near = await startNode(nats.url, { sets: SETS });
  await deploy(near, "adder");
  for (const key of KEYS) await add(near, key, 0);
  const link = await slowLink(nats.port, 7);
  const far = await startNode(link.url, { sets: SETS });
  const stallsBefore = link.stalls();
  // The one that each begins with is known.
  const adding = Promise.all(KEYS.map((key) => addUntilFenced(far, key)));
  await expect.poll(() => link.stalls(), SOON).toBeGreaterThan(stallsBefore);
  const next = await startNode(nats.url, { sets: SETS });
  const acked = await adding;
  expect(Math.min(...acked)).toBeGreaterThan(1);
  // Of the one that was refused nobody knows: sent again it is known or new.
  await Promise.all(KEYS.map((key, i) => add(next, key, acked[i]!)));
  await expect.poll(() => sums(next), SOON).toEqual(acked.map((count) => count + 1));
  expect(far.said().filter((msg) => /away|does not answer/.test(msg))).toEqual([]);
});
