/**
 * The kernel without its API, in one process with who asks: what an ask costs before it comes over any wire. For each
 * line with a number on standard input it makes so many asks, one at a time, and prints the milliseconds they took.
 * Argument: the data directory.
 */
import { createInterface } from "node:readline";
import { pino } from "pino";
import { startKernel } from "../../src/actors/index.ts";
import { loadConfig } from "../../src/base/config.ts";
import { openEmbeddedStorage } from "../../src/storage/index.ts";
import { inTurn } from "../harness/latency.ts";
import { ringAddress, ringManifest, ringModule } from "../harness/ring.ts";
import { ACTORS, CONTENT_TYPE, CONTENTS } from "./asks.ts";

const [directory] = process.argv.slice(2);
const config = loadConfig({ sets: [`storage.directory=${directory!}`, "workers.count=1"] });
const storage = await openEmbeddedStorage(config.storage);
const kernel = await startKernel({ storage, config, log: pino({ level: "silent" }) });
await kernel.agents.deploy({
  manifest: ringManifest("ephemeral"),
  source: { kind: "module", bytes: await ringModule("c") },
  resetMemory: false,
});

const inputs = CONTENTS.map((content, actor) => ({
  receiver: ringAddress(actor),
  performative: "request",
  contentType: CONTENT_TYPE,
  content: Buffer.from(content),
}));
let asks = 0;
const ask = async (): Promise<void> => {
  const input = inputs[asks++ % ACTORS]!;
  const { reply } = await kernel.messages.ask(input);
  if (!input.content.equals(reply.content)) throw new Error("the reply is not what was asked");
};

process.stdout.write("ready\n");
for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(await inTurn(Number(line), ask))}\n`);
}
// Whoever asked has gone; the kernel would go on.
process.exit();
