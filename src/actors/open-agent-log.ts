/** The log of agents with its files, as the configuration wants them. */
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { Seldom } from "../base/seldom.ts";
import { LineFiles } from "../storage/index.ts";
import { AgentLog } from "./agent-log.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { NO_WATCHER } from "./kernel-watcher.ts";
import type { KernelOptions } from "./node-kernel.ts";

const COMPLAIN_EVERY_MS = 60_000;

export async function openAgentLog(
  options: KernelOptions,
  registry: AgentRegistry,
): Promise<AgentLog> {
  return new AgentLog({
    registry,
    log: options.log,
    bytesMax: options.config.limits.agentLogBytesMax,
    files: await openFiles(options),
    nowMs: () => systemClock.wallMs(),
  });
}

/** Undefined when nothing is to outlive the process. */
async function openFiles(options: KernelOptions): Promise<LineFiles | undefined> {
  const { config, log, watcher = NO_WATCHER } = options;
  const { agentLogFileBytesMax: bytesMax, agentLogFilesBytesMax: totalBytesMax } = config.retention;
  if (bytesMax === 0) return undefined;
  const complaints = new Seldom(COMPLAIN_EVERY_MS);
  return LineFiles.open({
    directory: join(config.storage.directory, "agent-logs"),
    bytesMax,
    totalBytesMax,
    lost: (lines, why) => {
      watcher.logLinesLost(lines);
      if (!complaints.isDue(systemClock.monotonicMs())) return;
      log.warn({ err: why }, "log lines of agents could not be written to their files");
    },
  });
}
