/** Where a benchmark ran: what its figures must be read with. */
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { AppendFile, fileSystemOf } from "./disk.ts";
import { median } from "./percentile.ts";
import { canPin } from "./pinning.ts";

const SYNC_BYTES = 4096;
const SYNCS = 64;

export async function describeEnvironment(
  directory: string,
): Promise<Record<string, string | number>> {
  const processors = cpus();
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: processors[0]?.model ?? "unknown",
    cpus: processors.length,
    server_pinned_to_one_core: canPin ? "yes" : "no",
    load_average_1min: loadavg()[0]!,
    file_system: await fileSystemOf(directory),
    fsync_4kb_p50_ms: syncMs(directory),
  };
}

function syncMs(directory: string): number {
  const file = new AppendFile(join(directory, "sync-probe"), SYNC_BYTES * SYNCS);
  const content = Buffer.alloc(SYNC_BYTES, 1);
  const samples = Array.from({ length: SYNCS }, () => file.append(content));
  file.close();
  return Number(median(samples).toFixed(3));
}
