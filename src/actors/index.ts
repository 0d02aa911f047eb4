export { formatAddress, parseAddress } from "./address.ts";
export type { AgentManifest } from "./manifest.ts";
export { startKernel, type RunningKernel } from "./node-kernel.ts";
export type {
  ActorInfo,
  ActorStatus,
  AgentInfo,
  DeadLetter,
  DeployRequest,
  DeploySource,
  DeployStage,
  DeployStageName,
  Distribution,
  Message,
  NodeKernel,
  NodeStatus,
  PartitionStatus,
  SendInput,
  SendStream,
  StreamNumber,
  StreamListener,
  SourceLanguage,
  SupervisorNode,
} from "./kernel.ts";
export type { EmittedEvent } from "./emitted-events.ts";
export type { StateChange, TraceEvent, TracedEffect } from "./history.ts";
export { type AgentTopics, isTopic, matchesTopic } from "./topics.ts";
export { NODE_COMPONENTS, SOURCE_LANGUAGES } from "./kernel.ts";
export {
  type AgentLogFilter,
  type AgentLogLine,
  type LogLevel,
  type MessageEvent,
  type MessageFilter,
  type Subscriber,
  lineBytes,
} from "./watch.ts";
export type { KernelWatcher } from "./kernel-watcher.ts";
