import { Command, Option } from "commander";
import type { LogLevel, StreamAgentLogResponse } from "../../src/gen/caxton/v1/agent.ts";
import { agentName, wholeNumber } from "../arguments.ts";
import { exactTimeText } from "../output.ts";
import { enumName } from "../plain.ts";
import { inSession, type Session } from "../session.ts";
import { printEvents } from "../stream.ts";

const LEVELS = {
  debug: "LOG_LEVEL_DEBUG",
  info: "LOG_LEVEL_INFO",
  warn: "LOG_LEVEL_WARN",
  error: "LOG_LEVEL_ERROR",
} satisfies Record<string, LogLevel>;

interface LogsOptions {
  readonly follow: boolean;
  readonly actor: string;
  readonly level: keyof typeof LEVELS;
  readonly tail?: number;
}

export function logsCommand(): Command {
  return new Command("logs")
    .description("print what an agent logged lately; the node keeps limits.agentLogBytesMax of it")
    .argument("<agent>", "name, or namespace/name")
    .option("-f, --follow", "go on with new lines, until interrupted", false)
    .option("--actor <key>", "only the actor with this key", "")
    .addOption(
      new Option("--level <level>", "least level").choices(Object.keys(LEVELS)).default("debug"),
    )
    .option("--tail <n>", "earlier lines at most, the newest (default: all there are)", wholeNumber)
    .action((text: string, options: LogsOptions, own: Command) =>
      inSession(own, (session) => printLog(session, text, options)),
    );
}

function printLog(session: Session, agent: string, options: LogsOptions): Promise<void> {
  const { actor: key, level, tail, follow } = options;
  const request = { ...agentName(agent), key, level: LEVELS[level], tail, follow };
  return printEvents(session, session.client.agents.streamAgentLog(request), lineText);
}

function lineText({ timeMs, level, address, text, rolledBack }: StreamAgentLogResponse): string {
  const ending = rolledBack ? " (rolled back)" : "";
  return `${exactTimeText(timeMs)} ${enumName(level).padEnd(5)} ${address} ${text}${ending}`;
}
