/**
 * A process that appends to a storage and reports every acknowledgement on its standard output, one
 * line each, until it is killed or has made `commits` of them.
 *
 *   main.ts DIRECTORY [COMMITS]
 */
import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { CaxtonError } from "../../../src/base/errors.ts";
import { openEmbeddedStorage } from "../../../src/storage/index.ts";
import { frameOf } from "../frames.ts";

const [directory = "", commits = "Infinity"] = process.argv.slice(2);
const PARTITIONS = 3;
const KEPT = 40;

const storage = await openEmbeddedStorage({
  directory,
  segmentBytes: 64 * 1024,
  sizeBytesMax: 16 * 64 * 1024,
});
writeSync(1, "open\n");

/** Trimmed segments are made ready again while others are written: on a slow disk they are all in use for a moment. */
async function append(partition: number, last: number, frame: Uint8Array): Promise<number> {
  for (;;) {
    try {
      const outcome = await storage.log.append(partition, last, frame, 1);
      if (outcome.kind !== "acked") throw new Error(`append: ${outcome.kind}`);
      return outcome.sequence;
    } catch (error) {
      if (!(error instanceof CaxtonError) || error.code !== "STORAGE_FULL") throw error;
      await delay(error.retryAfterMs);
    }
  }
}

async function appendTo(partition: number): Promise<void> {
  let last = await storage.log.lastSequence(partition);
  for (let made = 0; made < Number(commits); made++) {
    const sequence = last + 1;
    const frame = frameOf(`${partition} ${sequence}`, 100 + ((sequence * 379) % 5_000));
    last = await append(partition, last, frame);
    writeSync(1, `${partition} ${last}\n`);
    if (last % KEPT === 0) await storage.log.trim(partition, last - KEPT);
  }
}

if (commits === "Infinity") {
  await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => appendTo(partition)));
} else {
  await appendTo(0);
  await storage.records.put("done", new Uint8Array([1]), null);
  await storage.close();
}
