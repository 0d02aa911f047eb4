export { parseAddress } from "./address.ts";
export type { AgentManifest } from "./manifest.ts";
export { startKernel, type KernelOptions, type RunningKernel } from "./node-kernel.ts";
export type {
  ActorInfo,
  ActorStatus,
  AgentInfo,
  AskInput,
  AskResult,
  DeadLetter,
  DeployRequest,
  DeployResult,
  DeploySource,
  DeployStage,
  DeployStageName,
  Message,
  MessageEvent,
  MessageFilter,
  MessageSubscriber,
  NodeKernel,
  NodeStatus,
  Page,
  PageRequest,
  PartitionStatus,
  SendInput,
  SendResult,
  StateEntry,
  SupervisorNode,
} from "./kernel.ts";
