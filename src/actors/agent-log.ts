/** Log lines of agents, in the server's log. */
import type { Logger } from "../base/log.ts";
import type { PostedLogLine } from "./worker-protocol.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;

export function logAgentLines(log: Logger, lines: readonly PostedLogLine[]): void {
  for (const { address, level, text, rolledBack } of lines) {
    const fields = rolledBack ? { actor: address, rolledBack } : { actor: address };
    log[LEVELS[level] ?? "info"](fields, text);
  }
}
