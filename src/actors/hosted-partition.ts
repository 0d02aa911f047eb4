/** A partition of this worker: its processor and what connects it to the rest. */
import { sentOf } from "./lost-tail.ts";
import type { Actor } from "./partition/actor.ts";
import { ActorImages } from "./partition/actor-images.ts";
import type { BlobPorts } from "./partition/actor-images.ts";
import { Checkpointer } from "./partition/checkpointer.ts";
import { ClientDoor } from "./partition/client-door.ts";
import { PartitionProcessor } from "./partition/processor.ts";
import type { PartitionPorts } from "./partition/processor.ts";
import type { PartitionRecovery } from "./partition/recovery.ts";
import { StreamDoor } from "./partition/stream-door.ts";
import { Relay } from "./relay.ts";
import type { ShardOutput } from "./shard-output.ts";
import type { FromWorker, WorkerStart } from "./worker-protocol.ts";

type RecoveredPartition = Extract<FromWorker, { kind: "recovered" }>;

export interface HostedPartition {
  readonly processor: PartitionProcessor;
  readonly images: ActorImages;
  readonly checkpointer: Checkpointer;
  readonly door: ClientDoor;
  readonly stream: StreamDoor;
  readonly relay: Relay;
  /**
   * Work begins when the owner's epoch frame is durable, and the log not full: until then a checkpoint is all it
   * does. One that is paused, because the log became full, writes down what it had begun as well.
   */
  phase: "recovered" | "opening" | "making-room" | "open" | "paused";
}

export interface HostPorts {
  readonly partition: PartitionPorts;
  readonly output: ShardOutput;
  relay(source: number, destination: number, n: number, envelope: Buffer): void;
  trim(partition: number, below: number, blobs: readonly string[]): void;
  warm(partition: HostedPartition, actor: Actor): void;
}

export function hostPartition(
  recovery: PartitionRecovery,
  start: WorkerStart,
  ports: HostPorts,
): HostedPartition {
  const { state } = recovery;
  const { id } = state;
  const { output } = ports;
  const { partitions, incarnation, snapshots } = start;
  const recovered = recovery.finish();
  const identity = { id, partitions, incarnation };
  const processor = new PartitionProcessor(identity, state, recovered, ports.partition);
  const door = new ClientDoor(processor, (result) => {
    output.result(result);
  });
  const stream = new StreamDoor(processor, {
    settled: (settled, accepted) => {
      output.streamed({ partition: id, settled, accepted });
    },
    refused: (n, refusal) => {
      output.streamRefused({ partition: id, n, ...refusal });
    },
  });
  const relay = new Relay(processor, {
    read: (partition, ranges, done) => {
      output.readLog(partition, ranges, done);
    },
    relay: (source, destination, n, envelope) => {
      ports.relay(source, destination, n, envelope);
    },
  });
  const blobs: BlobPorts = {
    store: (content, stored) => {
      output.store(content, stored);
    },
    fetch: (part, done) => {
      output.fetch(part, done);
    },
  };
  const packIdentity = { partition: id, incarnation, epoch: processor.frames.epoch };
  const images = new ActorImages(state.images, packIdentity, ports.partition.executor, blobs);
  const checkpointer = new Checkpointer(processor, images, snapshots, recovered, {
    ...blobs,
    nowMs: () => ports.partition.clock.monotonicMs(),
    trim: (below, gone) => {
      ports.trim(id, below, gone);
    },
    warm: (actor) => {
      ports.warm(hosted, actor);
    },
  });
  const hosted: HostedPartition = {
    processor,
    images,
    checkpointer,
    door,
    stream,
    relay,
    phase: "recovered",
  };
  return hosted;
}

/** What the main thread is told of a partition that was recovered. */
export function recoveredOf({ processor, checkpointer }: HostedPartition): RecoveredPartition {
  const { state, frames } = processor;
  return {
    kind: "recovered",
    partition: processor.id,
    pending: state.pending,
    lastFrameNo: frames.committedFrameNo,
    cursors: [...state.cursors],
    sent: sentOf(state),
    blobs: checkpointer.blobs,
    logFloor: state.logFloor,
  };
}
