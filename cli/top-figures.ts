/** What `caxton top` shows: two looks at a node, and what happened between them. */
import type { Agent } from "../src/gen/caxton/v1/agent.ts";
import type { NodeStatus, PartitionStatus } from "../src/gen/caxton/v1/node.ts";

export interface Look {
  readonly atMs: number;
  readonly node: NodeStatus;
  readonly agents: readonly Agent[];
}

export interface AgentFigures {
  readonly agent: string;
  readonly status: string;
  readonly actors: number;
  readonly handledPerSecond: number;
  readonly failedPerSecond: number;
  readonly handled: number;
}

/** Of a worker or of one of its partitions. */
export interface ShardFigures {
  readonly worker: number;
  readonly partitions: readonly number[];
  readonly ready: boolean;
  readonly actors: number;
  readonly pending: number;
  readonly turnsPerSecond: number;
  readonly failedPerSecond: number;
}

export interface TopFigures {
  readonly atMs: number;
  readonly node: NodeStatus;
  readonly total: ShardFigures;
  readonly deadLetters: number;
  readonly commitsPerSecond: number;
  /** 1 is one core. */
  readonly cpuCores: number;
  readonly workers: readonly ShardFigures[];
  readonly partitions: readonly ShardFigures[];
  readonly agents: readonly AgentFigures[];
}

export function figuresOf(before: Look, after: Look): TopFigures {
  const seconds = Math.max(1, after.atMs - before.atMs) / 1000;
  /** A counter that fell belongs to a server that was started in between. */
  const rate = (earlier = 0, later = 0): number => Math.max(0, later - earlier) / seconds;
  const earlierParts = new Map(before.node.partitions.map((part) => [part.partition, part]));
  const earlierAgents = new Map(before.agents.map((agent) => [nameOf(agent), agent]));
  const { node } = after;
  const shard = (worker: number, parts: readonly PartitionStatus[]): ShardFigures => {
    const then = parts.flatMap(({ partition }) => earlierParts.get(partition) ?? []);
    return {
      worker,
      partitions: parts.map(({ partition }) => partition),
      ready: parts.every(({ ready }) => ready),
      actors: sum(parts, "actors"),
      pending: sum(parts, "pendingMessages"),
      turnsPerSecond: rate(sum(then, "turns"), sum(parts, "turns")),
      failedPerSecond: rate(sum(then, "turnsFailed"), sum(parts, "turnsFailed")),
    };
  };
  const byWorker = Map.groupBy(node.partitions, ({ worker }) => worker);
  return {
    atMs: after.atMs,
    node,
    total: shard(0, node.partitions),
    deadLetters: sum(node.partitions, "deadLetters"),
    commitsPerSecond: rate(before.node.storage?.commits, node.storage?.commits),
    cpuCores: rate(before.node.process?.cpuSeconds, node.process?.cpuSeconds),
    workers: [...byWorker].map(([worker, parts]) => shard(worker, parts)),
    partitions: node.partitions.map((part) => shard(part.worker, [part])),
    agents: after.agents.map((agent) => {
      const earlier = earlierAgents.get(nameOf(agent));
      return {
        agent: nameOf(agent),
        status: agent.status,
        actors: agent.actors,
        handledPerSecond: rate(earlier?.messagesHandled, agent.messagesHandled),
        failedPerSecond: rate(earlier?.messagesFailed, agent.messagesFailed),
        handled: agent.messagesHandled,
      };
    }),
  };
}

function nameOf({ namespace, name }: Agent): string {
  return `${namespace}/${name}`;
}

function sum(
  parts: readonly PartitionStatus[],
  field: "actors" | "pendingMessages" | "deadLetters" | "turns" | "turnsFailed",
): number {
  return parts.reduce((total, part) => total + part[field], 0);
}
