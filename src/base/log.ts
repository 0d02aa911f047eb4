/** The server's log: pino to standard error, pretty on a terminal, JSON elsewhere. */
import { destination, pino, type Logger } from "pino";
import pretty from "pino-pretty";
import type { LogConfig } from "./config-schema.ts";
import { RecentLog } from "./recent-log.ts";

export type { Logger } from "pino";

const STANDARD_ERROR = 2;

export function createLog(
  config: Pick<LogConfig, "level" | "format">,
  recent = new RecentLog(),
): Logger {
  const options = { level: config.level, base: null, timestamp: isoTime };
  const isPretty = config.format === "pretty" || (config.format === "auto" && process.stderr.isTTY);
  if (isPretty) {
    return pino(options, recent.before(pretty({ destination: STANDARD_ERROR, sync: true })));
  }
  // Asynchronous: one write at a time, lines that come meanwhile are written together.
  // Without a minimal length the stream's flush does not wait for the write that is under way.
  const target = destination({ fd: STANDARD_ERROR, sync: false, minLength: 1 });
  return pino(options, recent.before(target));
}

/**
 * Resolves when all lines so far are written. An exit before that writes the waiting lines at once, ahead of the ones
 * that are being written.
 */
export function flushed(log: Logger): Promise<void> {
  return new Promise((resolve) => log.flush(() => resolve()));
}

function isoTime(): string {
  return `,"time":"${new Date().toISOString()}"`;
}
