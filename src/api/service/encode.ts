/** The kernel's answers as messages of the API. */
import type {
  ActorInfo,
  AgentLogLine,
  ActorStatus as KernelActorStatus,
  AgentInfo,
  AgentManifest,
  DeadLetter as KernelDeadLetter,
  DeployStage as KernelDeployStage,
  DeployStageName as KernelStageName,
  LogLevel as KernelLogLevel,
  Message as KernelMessage,
  NodeStatus as KernelNodeStatus,
  SupervisorNode as KernelSupervisorNode,
} from "../../actors/index.ts";
import { type Actor, ActorStatus } from "../../gen/caxton/v1/actor.ts";
import {
  type Agent,
  AgentStatus,
  type DeployStage,
  DeployStageName,
  LogLevel,
  type Manifest,
  type StreamAgentLogResponse,
} from "../../gen/caxton/v1/agent.ts";
import type { DeadLetter } from "../../gen/caxton/v1/dead_letter.ts";
import type { Message } from "../../gen/caxton/v1/message.ts";
import type { NodeStatus } from "../../gen/caxton/v1/node.ts";
import { type SupervisorNode, SupervisorNodeKind } from "../../gen/caxton/v1/supervisor.ts";

export function encodeMessage(message: KernelMessage): Message {
  return {
    id: message.id,
    sender: message.sender,
    receiver: message.receiver,
    performative: message.performative,
    contentType: message.contentType,
    content: message.content,
    conversationId: message.conversationId ?? "",
    replyWith: message.replyWith ?? "",
    inReplyTo: message.inReplyTo ?? "",
    replyByMs: message.replyByMs ?? 0,
    ontology: message.ontology ?? "",
    language: message.language ?? "",
    protocol: message.protocol ?? "",
    headers: message.headers,
  };
}

export function encodeAgent(agent: AgentInfo): Agent {
  const { manifest, status, reason, ...facts } = agent;
  return {
    ...facts,
    status: status === "running" ? AgentStatus.RUNNING : AgentStatus.SUSPENDED,
    reason: reason ?? "",
    manifest: encodeManifest(manifest),
  };
}

function encodeManifest(manifest: AgentManifest): Manifest {
  const { restartsMax, windowMs, groups } = manifest.supervision;
  return {
    description: manifest.description,
    durability: manifest.durability,
    reentrant: manifest.reentrant,
    limits: { ...manifest.limits },
    attemptsMax: manifest.attemptsMax,
    backoff: manifest.backoff,
    supervision: {
      restartsMax,
      windowMs,
      groups: groups.map((group) => ({ ...group, members: [...group.members] })),
    },
    config: manifest.config,
    flags: manifest.flags,
    subscribe: [...(manifest.subscribe ?? [])],
    publish: [...(manifest.publish ?? [])],
  };
}

const STAGES: Readonly<Record<KernelStageName, DeployStageName>> = {
  static: DeployStageName.STATIC,
  sandbox: DeployStageName.SANDBOX,
  contract: DeployStageName.CONTRACT,
  resources: DeployStageName.RESOURCES,
};

export function encodeStage(stage: KernelDeployStage): DeployStage {
  return {
    ...stage,
    stage: STAGES[stage.stage],
    findings: stage.findings.map((finding) => ({ hint: "", ...finding })),
  };
}

const LOG_LEVEL: Readonly<Record<KernelLogLevel, LogLevel>> = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
};

export function encodeLogLine(line: AgentLogLine): StreamAgentLogResponse {
  return { ...line, level: LOG_LEVEL[line.level] };
}

export function decodeLogLevel(level: LogLevel): KernelLogLevel | undefined {
  return named(LOG_LEVEL, level);
}

const ACTOR_STATUS: Readonly<Record<KernelActorStatus, ActorStatus>> = {
  idle: ActorStatus.IDLE,
  ready: ActorStatus.READY,
  open: ActorStatus.OPEN,
  backoff: ActorStatus.BACKOFF,
  held: ActorStatus.HELD,
  recovering: ActorStatus.RECOVERING,
};

export function encodeActor(actor: ActorInfo): Actor {
  return { ...actor, status: ACTOR_STATUS[actor.status], reason: actor.reason ?? "" };
}

export function decodeActorStatus(status: ActorStatus): KernelActorStatus | undefined {
  return named(ACTOR_STATUS, status);
}

export function encodeDeadLetter(letter: KernelDeadLetter): DeadLetter {
  return { ...letter, message: encodeMessage(letter.message) };
}

const SUPERVISOR_KIND: Readonly<Record<KernelSupervisorNode["kind"], SupervisorNodeKind>> = {
  node: SupervisorNodeKind.NODE,
  worker: SupervisorNodeKind.WORKER,
  partition: SupervisorNodeKind.PARTITION,
  agent: SupervisorNodeKind.AGENT,
  actor: SupervisorNodeKind.ACTOR,
};

export function encodeSupervisorNode(node: KernelSupervisorNode): SupervisorNode {
  return {
    ...node,
    kind: SUPERVISOR_KIND[node.kind],
    strategy: node.strategy ?? "",
    children: node.children.map(encodeSupervisorNode),
  };
}

/** `more`: what the kernel doesn't know. */
export function encodeNodeStatus(
  status: KernelNodeStatus,
  more: Pick<NodeStatus, "limits" | "process">,
): NodeStatus {
  return {
    ...status,
    ...more,
    notReady: status.notReady.map(({ reason }) => reason),
    partitions: [...status.partitions],
    storage: { ...status.storage },
  };
}

/** Undefined for UNSPECIFIED and for values this server does not know. */
function named<K extends string, V>(table: Readonly<Record<K, V>>, value: V): K | undefined {
  return (Object.keys(table) as K[]).find((name) => table[name] === value);
}
