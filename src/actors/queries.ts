/** Reads of partition state, answered when what they reflect is durable. */
import { decodeMessage } from "./wasm/envelope.ts";
import type {
  ActorInfo,
  ActorStatus,
  DeadLetter,
  PartitionStatus,
  StateEntry,
  StreamPlace,
  SupervisorNode,
} from "./kernel.ts";
import type { ErrorCode } from "../base/errors.ts";
import type { Actor } from "./partition/actor.ts";
import type { AgentShare } from "./partition/agent-share.ts";
import type { DeadLetterRecord } from "./partition/dead-letter-store.ts";
import type { PartitionProcessor } from "./partition/processor.ts";

export type Query =
  | { readonly kind: "actor"; readonly partition: number; readonly address: string }
  /** Actors after `after` in byte order of their addresses. */
  | {
      readonly kind: "actors";
      readonly partition: number;
      readonly prefix: string;
      readonly status: ActorStatus | undefined;
      readonly after: string;
      readonly max: number;
    }
  | {
      readonly kind: "state";
      readonly partition: number;
      readonly address: string;
      readonly key: string;
    }
  | {
      readonly kind: "states";
      readonly partition: number;
      readonly address: string;
      readonly prefix: string;
      readonly after: string;
      readonly max: number;
    }
  | {
      readonly kind: "dead-letters";
      readonly partition: number;
      readonly prefix: string;
      readonly after: number;
      readonly max: number;
    }
  | { readonly kind: "dead-letter"; readonly partition: number; readonly seq: number }
  | { readonly kind: "agents"; readonly partition: number }
  /** Last number accepted from each source. */
  | { readonly kind: "cursors"; readonly partition: number }
  /** StreamPlace. */
  | { readonly kind: "stream"; readonly partition: number }
  | { readonly kind: "status"; readonly partition: number }
  | { readonly kind: "supervisor"; readonly partition: number; readonly actorsMax: number };

export interface AgentShareInfo {
  readonly name: string;
  readonly actors: number;
  /** Durable actors that have memory state, by the environment it belongs to. */
  readonly memories: readonly (readonly [environment: number, actors: number])[];
  readonly messagesHandled: number;
  readonly messagesFailed: number;
  readonly suspended: string | undefined;
  readonly environment: number;
  /** Linear memory of those of its actors that are in memory. */
  readonly memoryBytes: number;
  /** Counts of TurnFigures. */
  readonly turnFigures: Float64Array | undefined;
}

export type PartitionFacts = Omit<PartitionStatus, "worker" | "ready">;

/** State keys and addresses are bytes; text is their latin1 form until it leaves. */
function fromUtf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function toUtf8(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

export function answerQuery(processor: PartitionProcessor, query: Query): unknown {
  const { state } = processor;
  switch (query.kind) {
    case "actor": {
      const actor = state.actorByAddress(query.address);
      return actor === undefined ? undefined : actorInfo(processor, actor);
    }
    case "actors":
      return [...state.actors]
        .filter((a) => a.address > query.after && a.address.startsWith(query.prefix))
        .filter((a) => query.status === undefined || statusOf(a) === query.status)
        .sort((a, b) => (a.address < b.address ? -1 : 1))
        .slice(0, query.max)
        .map((actor) => actorInfo(processor, actor));
    case "state": {
      const value = state.actorByAddress(query.address)?.state.get(fromUtf8(query.key));
      return value === undefined ? undefined : stateEntry(processor, query.key, value);
    }
    case "states": {
      const prefix = fromUtf8(query.prefix);
      const after = fromUtf8(query.after);
      const entries = [...(state.actorByAddress(query.address)?.state ?? [])];
      return entries
        .filter(([key]) => key > after && key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, query.max)
        .map(([key, value]) => stateEntry(processor, toUtf8(key), value));
    }
    case "dead-letters": {
      const found: DeadLetter[] = [];
      for (const record of state.deadLetters.values()) {
        if (found.length === query.max) break;
        if (record.seq <= query.after) continue;
        const letter = deadLetter(processor, record);
        if (letter.message.receiver.startsWith(query.prefix)) found.push(letter);
      }
      return found;
    }
    case "dead-letter": {
      const record = state.deadLetters.get(query.seq);
      return record === undefined ? undefined : deadLetter(processor, record);
    }
    case "agents":
      return agentShares(processor);
    case "cursors":
      return [...state.cursors];
    case "stream": {
      const { incarnation, upTo, upToS, floor } = state.stream;
      const place: StreamPlace = { incarnation, upTo, upToS, floor };
      return place;
    }
    case "status":
      return partitionFacts(processor);
    case "supervisor":
      return supervisorNode(processor, query.actorsMax);
  }
}

function statusOf(actor: Actor): ActorStatus {
  if (actor.phase.kind === "idle" && actor.handlers.size > 0) return "open";
  return actor.phase.kind;
}

function actorInfo(processor: PartitionProcessor, actor: Actor): ActorInfo {
  const held = actor.phase.kind === "held" ? actor.phase : undefined;
  return {
    address: actor.address,
    partition: processor.id,
    status: statusOf(actor),
    ...(held === undefined ? {} : { reason: `${held.code}: ${held.reason}` }),
    version: actor.environment.version,
    turns: actor.turnsTotal,
    mailboxMessages: actor.pendingMessages,
    stateKeys: actor.state.size,
    stateBytes: actor.stateBytes,
    timers: actor.timers.size,
    attempts: actor.next()?.attempts ?? 0,
    restarts: actor.restartsTotal,
    memoryBytes: actor.live?.memoryBytes ?? 0,
    frame: processor.frames.stateFrameNo,
  };
}

function stateEntry(processor: PartitionProcessor, key: string, value: Buffer): StateEntry {
  return { key, value: Uint8Array.from(value), frame: processor.frames.stateFrameNo };
}

function deadLetter(processor: PartitionProcessor, record: DeadLetterRecord): DeadLetter {
  return {
    id: `${String(processor.id)}-${String(record.seq)}`,
    message: decodeMessage(record.envelope, 0),
    code: record.code as ErrorCode,
    reason: record.reason,
    attempts: record.attempts,
    atMs: record.atMs,
    partition: processor.id,
  };
}

function agentShares(processor: PartitionProcessor): AgentShareInfo[] {
  return [...processor.state.agents.values()].map((share) => ({
    name: share.name,
    actors: share.actors.size,
    memories: memoriesOf(share),
    messagesHandled: share.messagesHandled,
    messagesFailed: share.messagesFailed,
    suspended: share.suspended,
    environment: share.environment.id,
    memoryBytes: memoryBytesOf(share),
    turnFigures: share.figures?.values,
  }));
}

function memoryBytesOf(share: AgentShare): number {
  let bytes = 0;
  for (const { live } of share.actors) bytes += live?.memoryBytes ?? 0;
  return bytes;
}

function memoriesOf(share: AgentShare): [environment: number, actors: number][] {
  const counts = new Map<number, number>();
  for (const actor of share.actors) {
    if (!actor.hasMemory) continue;
    const { id } = actor.environment;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return [...counts];
}

function partitionFacts(processor: PartitionProcessor): PartitionFacts {
  const { state } = processor;
  return {
    partition: processor.id,
    epoch: processor.frames.epoch,
    frame: processor.frames.committedFrameNo,
    actors: state.actors.size,
    pendingMessages: state.pending,
    deadLetters: state.deadLetters.size,
    deadLettersEvicted: state.deadLetters.evicted,
    turns: state.turns,
    turnsFailed: state.turnsFailed,
    turnsReplayed: processor.turnsReplayed,
    recoveredPending: processor.recoveredPending,
  };
}

function supervisorNode(processor: PartitionProcessor, actorsMax: number): SupervisorNode {
  const { state } = processor;
  const agents = [...state.agents.values()].map((share): SupervisorNode => {
    const actors = [...share.actors].sort((a, b) => b.restartsTotal - a.restartsTotal);
    const shown = actors.slice(0, actorsMax);
    const { groups } = share.environment.manifest.supervision;
    return {
      kind: "agent",
      name: share.name,
      status: share.suspended === undefined ? "running" : "suspended",
      strategy: groups[0]?.strategy ?? "one_for_one",
      restarts: actors.reduce((sum, actor) => sum + actor.restartsTotal, 0),
      omitted: actors.length - shown.length,
      children: shown.map((actor) => ({
        kind: "actor",
        name: actor.address,
        status: statusOf(actor),
        restarts: actor.restartsTotal,
        children: [],
        omitted: 0,
      })),
    };
  });
  return {
    kind: "partition",
    name: String(processor.id),
    status: "running",
    restarts: agents.reduce((sum, agent) => sum + agent.restarts, 0),
    children: agents,
    omitted: 0,
  };
}
