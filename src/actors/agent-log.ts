/**
 * Log lines of agents: in the server's log, in files, and the newest ones in memory for whoever asks.
 *
 * Owns the lines kept of every agent and their subscribers. An agent's lines of before the start come into memory
 * when it first logs or somebody asks.
 * 1. The lines of one agent never exceed limits.agentLogBytesMax; the oldest go first.
 * 2. Only agents that are deployed, or were when an agent last began to log, take room.
 */
import { z } from "zod";
import type { Logger } from "../base/log.ts";
import { Queue } from "../base/queue.ts";
import type { LineFiles } from "../storage/index.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { AgentLogOperations } from "./kernel.ts";
import { Subscribers } from "./subscribers.ts";
import {
  type AgentLogFilter,
  type AgentLogLine,
  type AgentLogSubscriber,
  lineBytes,
  LOG_LEVELS,
} from "./watch.ts";
import type { PostedLogLine } from "./worker-protocol.ts";

/** As it stands in a file. */
const LINE: z.ZodType<AgentLogLine> = z.object({
  timeMs: z.number(),
  level: z.enum(LOG_LEVELS),
  address: z.string(),
  text: z.string(),
  rolledBack: z.boolean(),
});

interface KeptLines {
  readonly lines: Queue<AgentLogLine>;
  bytes: number;
}

export interface AgentLogPorts {
  readonly registry: Pick<AgentRegistry, "find" | "get">;
  readonly log: Logger;
  readonly bytesMax: number;
  /** Undefined when nothing is to outlive the process. */
  readonly files: LineFiles | undefined;
  nowMs(): number;
}

export class AgentLog implements AgentLogOperations {
  private readonly ports: AgentLogPorts;
  private readonly kept = new Map<string, KeptLines>();
  private readonly subscribers = new Subscribers<AgentLogFilter, AgentLogLine>(matches);

  constructor(ports: AgentLogPorts) {
    this.ports = ports;
    for (const agent of ports.files?.names ?? []) if (!this.isDeployed(agent)) this.forget(agent);
  }

  append(posted: readonly PostedLogLine[]): void {
    const timeMs = this.ports.nowMs();
    for (const { address, level, text, rolledBack, traceId } of posted) {
      const line = { timeMs, level: LOG_LEVELS[level] ?? "info", address, text, rolledBack };
      const fields = {
        actor: address,
        ...(rolledBack && { rolledBack }),
        ...(traceId !== undefined && { traceId }),
      };
      this.ports.log[line.level](fields, text);
      this.keep(line);
      this.subscribers.publish(line);
    }
  }

  read(filter: AgentLogFilter, tail: number): AgentLogLine[] {
    const { namespace, name } = filter;
    this.ports.registry.get(namespace, name);
    const { lines = [] } = this.keptOf(`${namespace}/${name}`) ?? {};
    const matching = [...lines].filter((line) => matches(filter, line));
    return matching.slice(Math.max(0, matching.length - tail));
  }

  subscribe(subscriber: AgentLogSubscriber): () => void {
    this.subscribers.add(subscriber);
    return () => void this.subscribers.remove(subscriber);
  }

  close(): void {
    this.subscribers.close(undefined);
  }

  /** Resolves when what was logged is in the files. */
  async written(): Promise<void> {
    await this.ports.files?.close();
  }

  private keep(line: AgentLogLine): void {
    const agent = agentOf(line.address);
    const kept = this.keptOf(agent);
    if (kept === undefined) return;
    this.push(kept, line);
    this.ports.files?.append(agent, JSON.stringify(line));
  }

  private push(kept: KeptLines, line: AgentLogLine): void {
    kept.lines.push(line);
    kept.bytes += lineBytes(line);
    while (kept.bytes > this.ports.bytesMax) kept.bytes -= lineBytes(kept.lines.shift()!);
  }

  /** Undefined for an agent that was deleted after its turn. */
  private keptOf(agent: string): KeptLines | undefined {
    const found = this.kept.get(agent);
    if (found !== undefined) return found;
    for (const other of this.kept.keys()) if (!this.isDeployed(other)) this.forget(other);
    if (!this.isDeployed(agent)) return undefined;
    const kept = { lines: new Queue<AgentLogLine>(), bytes: 0 };
    this.kept.set(agent, kept);
    for (const text of this.ports.files?.read(agent) ?? []) {
      const line = parseLine(text);
      if (line !== undefined) this.push(kept, line);
    }
    return kept;
  }

  private forget(agent: string): void {
    this.kept.delete(agent);
    this.ports.files?.remove(agent);
  }

  private isDeployed(agent: string): boolean {
    const [namespace = "", name = ""] = agent.split("/");
    return this.ports.registry.find(namespace, name) !== undefined;
  }
}

/** Undefined for one that is damaged. */
function parseLine(text: string): AgentLogLine | undefined {
  try {
    return LINE.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** `namespace/name` of an address. */
function agentOf(address: string): string {
  return address.slice(0, address.lastIndexOf("/"));
}

function matches(filter: AgentLogFilter, { address, level }: AgentLogLine): boolean {
  const isOwn =
    filter.address === undefined
      ? agentOf(address) === `${filter.namespace}/${filter.name}`
      : address === filter.address;
  return isOwn && LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(filter.level);
}
