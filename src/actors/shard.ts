/**
 * The partitions of one worker and the loop that runs them: inputs in, a batch of turns, frames out.
 *
 * Owns its processors, the batch and the executor; knows the main thread only through `post`.
 * 1. One group of frames is in flight at most; each partition has at most one frame in it.
 * 2. `pump` does a bounded amount of work, so that inputs and commits get in between.
 */
import { copyOf } from "../base/bytes.ts";
import { invariant } from "../base/assert.ts";
import { AgentSet } from "./agent-set.ts";
import type { Clock } from "../base/clock.ts";
import { SeededRandom } from "../base/random.ts";
import type { Scheduler } from "../base/scheduler.ts";
import type { Span } from "../base/trace.ts";
import { partitionOf } from "./address.ts";
import type { Environment } from "./environment.ts";
import { type HostedPartition, hostPartition, recoveredOf } from "./hosted-partition.ts";
import type { Actor } from "./partition/actor.ts";
import type { PartitionPorts, PartitionProcessor } from "./partition/processor.ts";
import type { SealedFrame } from "./partition/frame-pipeline.ts";
import { PartitionRecovery } from "./partition/recovery.ts";
import { PartitionState } from "./partition/partition-state.ts";
import { answerQuery, type Query } from "./queries.ts";
import { type Post, ShardOutput } from "./shard-output.ts";
import { Replayer, type ReplayPorts } from "./replayer.ts";
import { handOver } from "./streamed-messages.ts";
import { TurnTraces } from "./turn-traces.ts";
import { TurnBatch, type TurnExecutor } from "./turn-batch.ts";
import { EffectRing } from "./wasm/effects.ts";
import type { LoadedModule } from "./wasm/loaded-module.ts";
import { asBuffer, type PackedRelay, type ToWorker, type WorkerStart } from "./worker-protocol.ts";

/** Turns of the largest effects that a batch has room for. */
const RING_TURNS = 8;
/** Largest delay a timer takes. */
const TIMER_MAX_MS = 0x7fffffff;
const SHARED_PROGRESS = 0;
const SHARED_IN_GUEST = 1;

interface Group {
  readonly number: number;
  readonly frames: readonly SealedFrame[];
}

export interface ShardPorts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly seed: number;
  readonly post: Post;
  /** Of frames kept in memory until actors are back; the default is for real workers. */
  readonly tailBytesMax?: number;
  createExecutor(batch: TurnBatch, shard: Shard): TurnExecutor;
}

export class Shard {
  private readonly start: WorkerStart;
  private readonly ports: ShardPorts;
  private readonly shared: Int32Array;
  private readonly environments = new Map<number, Environment>();
  private readonly modules = new Map<string, LoadedModule>();
  private ephemeral = new AgentSet([]);
  private readonly partitions = new Map<number, HostedPartition>();
  private readonly recoveries = new Map<number, PartitionRecovery>();
  private readonly batch: TurnBatch;
  private readonly executor: TurnExecutor;
  private readonly replayer: Replayer;
  private readonly partitionPorts: PartitionPorts;
  private readonly output: ShardOutput;
  private readonly traces: TurnTraces | undefined;
  private group: Group | undefined;
  private lastGroup = 0;
  private observation = 0;
  private pumpScheduled = false;
  private cancelTick: () => void = () => undefined;
  private rotation = 0;

  constructor(start: WorkerStart, ports: ShardPorts) {
    this.start = start;
    this.ports = ports;
    this.shared = new Int32Array(start.shared);
    this.output = new ShardOutput(ports.post);
    this.batch = new TurnBatch(new EffectRing(RING_TURNS * start.limits.effectsBytesMax));
    this.executor = ports.createExecutor(this.batch, this);
    const replayPorts: ReplayPorts = {
      read: (partition, ranges, done) => {
        this.output.readLog(partition, ranges, done);
      },
      executor: this.executor,
      monotonicMs: () => ports.clock.monotonicMs(),
      wake: () => {
        this.schedulePump();
      },
      finished: (tookMs) => {
        this.output.activated(tookMs);
        this.schedulePump();
      },
    };
    this.replayer = new Replayer(replayPorts, start.residentsMax, ports.tailBytesMax);
    const { output } = this;
    const span = (ended: Span): void => {
      output.span(ended);
    };
    this.traces = start.tracing ? new TurnTraces({ clock: ports.clock, span }) : undefined;
    const suspects = new Int32Array(start.suspects);
    this.partitionPorts = {
      clock: ports.clock,
      random: new SeededRandom(ports.seed),
      executor: this.executor,
      environment: (id) => this.environment(id),
      isEphemeral: (bytes, from, to) => this.ephemeral.has(bytes, from, to),
      sendUnlogged: (destination, bytes, offset, length) => {
        this.deliverTo(-1, destination, 0, bytes, offset, length);
      },
      suspects: {
        tryAcquire: (partition) => {
          const before = Atomics.compareExchange(suspects, 0, 0, partition + 1);
          return before === 0;
        },
        release: (partition) => {
          Atomics.compareExchange(suspects, 0, partition + 1, 0);
        },
      },
      upgraded: () => {
        ports.post({ kind: "upgraded" }, []);
      },
      escalate: (agent, reason) => {
        ports.post({ kind: "escalate", agent, reason }, []);
      },
    };
    this.scheduleSweep();
  }

  environment(id: number): Environment {
    const environment = this.environments.get(id);
    invariant(environment !== undefined, `environment ${String(id)} was announced`);
    return environment;
  }

  module(sha256: string): LoadedModule {
    const module = this.modules.get(sha256);
    invariant(module !== undefined, `module ${sha256} was announced`);
    return module;
  }

  private partition(id: number): HostedPartition {
    const partition = this.partitions.get(id);
    invariant(partition !== undefined, `partition ${String(id)} is here`);
    return partition;
  }

  // --- Inputs -------------------------------------------------------------------------------------------

  handle(message: ToWorker): void {
    switch (message.kind) {
      case "environment":
        this.environments.set(message.environment.id, message.environment);
        return;
      case "module":
        this.modules.set(message.sha256, message.module);
        return;
      case "ephemeral":
        this.ephemeral = new AgentSet(message.agents);
        return;
      case "checkpoint":
        this.recovery(message.partition).begin(message.sha256, asBuffer(message.content));
        return;
      case "recover":
        this.recover(message);
        return;
      case "recovered":
        this.finishRecovery(message.partition);
        return;
      case "open":
        this.open(message.partition, message.wasClean, message.isShort === true);
        break;
      case "submit":
        this.submit(message);
        break;
      case "stream":
        handOver(this.partitions, message);
        break;
      case "forget":
        this.partitions.get(message.partition)?.door.forget(message.id, message.requestId);
        return;
      case "committed":
        this.committed(message.group);
        break;
      case "relay":
        this.relayed(message.source, message.relays, asBuffer(message.bytes));
        break;
      // A partition that is being recovered learns both when it opens.
      case "acknowledged":
        this.acknowledged(message.source, message.destination, message.n);
        break;
      case "refetch":
        this.partitions.get(message.source)?.relay.catchUp(message.destination, message.n);
        break;
      case "demand-checkpoint":
        this.partitions.get(message.partition)?.checkpointer.demand();
        break;
      case "ranges":
        this.output.read(message.requestId, asBuffer(message.bytes), message.lengths);
        break;
      case "stored":
        this.output.stored(message.requestId, message.sha256);
        break;
      case "fetched":
        this.output.fetched(message.requestId, message.bytes && asBuffer(message.bytes));
        break;
      case "control":
        this.partition(message.partition).processor.control(message.control, () => {
          this.answer(message.requestId, undefined);
        });
        break;
      case "query":
        this.query(message.requestId, message.query);
        break;
      case "observe":
        this.observe(message.observation);
        return;
    }
    this.schedulePump();
  }

  private observe(observation: number): void {
    this.observation = observation;
    if (observation === 0) return;
    const frames = [...this.partitions.values()].map(({ processor }): [number, number] => [
      processor.id,
      processor.frames.committedFrameNo,
    ]);
    this.ports.post({ kind: "observing", observation, frames }, []);
  }

  private query(requestId: number, query: Query): void {
    const { processor } = this.partition(query.partition);
    const value = answerQuery(processor, query);
    processor.frames.afterCommit(() => {
      this.answer(requestId, value);
    });
  }

  private answer(requestId: number, value: unknown): void {
    this.ports.post({ kind: "answer", requestId, value }, []);
  }

  private submit(message: Extract<ToWorker, { kind: "submit" }>): void {
    const bytes = asBuffer(message.bytes);
    for (const submission of message.submissions) {
      const { partition, offset, length } = submission;
      const envelope = bytes.subarray(offset, offset + length);
      this.partition(partition).door.offer({ ...submission, envelope });
    }
  }

  // --- Recovery -----------------------------------------------------------------------------------------

  private recovery(id: number): PartitionRecovery {
    let recovery = this.recoveries.get(id);
    if (recovery === undefined) {
      const { partitions, incarnation, limits } = this.start;
      const state = new PartitionState({ id, partitions, incarnation }, limits);
      recovery = new PartitionRecovery(state, (environment) => this.environment(environment));
      this.recoveries.set(id, recovery);
    }
    return recovery;
  }

  private recover({ partition, frames }: Extract<ToWorker, { kind: "recover" }>): void {
    const recovery = this.recovery(partition);
    for (const { sequence, frame } of frames) {
      recovery.apply(sequence, asBuffer(frame));
      this.replayer.met(partition, sequence, asBuffer(frame));
    }
  }

  private finishRecovery(id: number): void {
    const recovery = this.recovery(id);
    this.recoveries.delete(id);
    const hosted = hostPartition(recovery, this.start, {
      partition: this.partitionPorts,
      output: this.output,
      relay: (source, destination, n, envelope) => {
        this.deliverTo(source, destination, n, envelope, 0, envelope.length);
      },
      trim: (partition, below, blobs) => {
        this.ports.post({ kind: "trim", partition, below, blobs }, []);
      },
      warm: (partition, actor) => {
        this.replayer.addBackground(partition, [actor]);
      },
    });
    this.partitions.set(id, hosted);
    this.ports.post(recoveredOf(hosted), []);
  }

  /** Starts the owner's epoch; work begins when the epoch frame is durable. */
  private open(id: number, wasClean: boolean, isShort: boolean): void {
    const partition = this.partition(id);
    if (partition.phase === "making-room" && !isShort) this.takeUpWork(partition, wasClean);
    if (partition.phase === "open" && isShort) partition.phase = "paused";
    else if (partition.phase === "paused" && !isShort) partition.phase = "open";
    if (partition.phase !== "recovered") return;
    partition.phase = "opening";
    partition.processor.frames.startEpoch(() => {
      if (isShort) {
        partition.phase = "making-room";
        partition.checkpointer.demand();
      } else this.takeUpWork(partition, wasClean);
      this.ports.post({ kind: "opened", partition: id }, []);
    });
  }

  private takeUpWork(partition: HostedPartition, wasClean: boolean): void {
    const { processor, relay } = partition;
    partition.phase = "open";
    processor.resume(wasClean);
    for (const destination of processor.state.outboxes.keys()) {
      relay.catchUp(destination, processor.state.outbox(destination).firstN);
    }
    const behind = [...processor.state.actors].filter((actor) => actor.turns.length > 0);
    this.replayer.addBackground(partition, behind);
  }

  /** An actor's memory is about to go to make room: its image keeps the log out of its return. */
  leaving(actor: Actor): void {
    const id = partitionOf(actor.hash, this.start.partitions);
    this.partitions.get(id)?.images.take(actor);
  }

  // --- The loop -----------------------------------------------------------------------------------------

  schedulePump(): void {
    if (this.pumpScheduled) return;
    this.pumpScheduled = true;
    this.ports.scheduler.soon(() => {
      this.pumpScheduled = false;
      this.pump();
    });
  }

  private scheduleSweep(): void {
    this.ports.scheduler.after(this.start.snapshots.idleMs, () => {
      this.executor.sweep();
      this.scheduleSweep();
    });
  }

  private pump(): void {
    for (const { processor, stream, phase } of this.partitions.values()) {
      if (phase !== "open") continue;
      if (processor.nextTickMs <= processor.nowMs()) processor.tick();
      stream.step();
    }
    this.runBatch();
    this.replayer.step();
    this.submitGroup();
    this.output.flush();
    let hasWork = this.replayer.hasWork;
    for (const { processor, images, checkpointer, stream, phase } of this.partitions.values()) {
      if (phase !== "recovered" && phase !== "opening") checkpointer.step();
      for (const actor of processor.turns.takeReplays()) {
        this.replayer.request({ processor, images, actor });
      }
      hasWork ||= (phase !== "paused" && processor.turns.hasReady) || checkpointer.hasWork;
      hasWork ||= phase === "open" && stream.hasWork;
    }
    if (hasWork) this.schedulePump();
    else this.scheduleTick();
  }

  private runBatch(): void {
    const { batch } = this;
    const all = [...this.partitions.values()];
    // No turn sees a time before one that a partition has seen already.
    batch.start(Math.max(...all.map(({ processor }) => processor.nowMs())));
    const settled: [PartitionProcessor, number, number][] = [];
    for (let k = 0; k < all.length; k++) {
      const { processor, phase } = all[(k + this.rotation) % all.length]!;
      if (phase !== "open") continue;
      const from = batch.count;
      processor.turns.plan(batch);
      if (batch.count > from) settled.push([processor, from, batch.count]);
    }
    this.rotation++;
    if (batch.count === 0) return;
    Atomics.add(this.shared, SHARED_PROGRESS, 1);
    Atomics.store(this.shared, SHARED_IN_GUEST, 1);
    this.executor.run(batch);
    Atomics.store(this.shared, SHARED_IN_GUEST, 0);
    this.output.slowTurns(batch, this.start.slowTurnMs);
    for (const [processor, from, to] of settled) processor.turns.settle(batch, from, to);
    this.traces?.record(batch, settled);
    this.output.logs(batch);
  }

  private submitGroup(): void {
    if (this.group !== undefined) return;
    const frames: SealedFrame[] = [];
    for (const { processor, phase } of this.partitions.values()) {
      if (phase === "recovered") continue;
      const { frames: pipeline } = processor;
      // Ahead of a checkpoint nothing may wait for the room that it makes.
      if (phase === "making-room" && !pipeline.namesCheckpoint) continue;
      const sealed = phase === "opening" ? pipeline.sealEpochOnce() : pipeline.seal();
      if (sealed !== undefined) frames.push(sealed);
    }
    if (frames.length === 0) return;
    const group = { number: ++this.lastGroup, frames };
    this.group = group;
    this.ports.post({ kind: "group", group: group.number, frames }, []);
  }

  private committed(number: number): void {
    const { group } = this;
    invariant(group?.number === number, "the group in flight is the one that committed");
    this.group = undefined;
    for (const sealed of group.frames) {
      const { processor, relay, stream } = this.partition(sealed.partition);
      if (this.observation > 0)
        this.output.messages(sealed, this.observation, this.start.partitions);
      const { outbound, accepted } = processor.frames.committed(sealed.frameNo);
      stream.retry();
      const bytes = sealed.frame;
      for (const { destination, n, offset, length } of outbound) {
        if (n > 0 && !relay.isLive(destination)) continue;
        this.deliverTo(processor.id, destination, n, bytes, offset, length);
      }
      for (const [source, n] of accepted) this.acknowledge(source, processor.id, n);
    }
  }

  private acknowledged(source: number, destination: number, n: number): void {
    this.partitions.get(source)?.processor.state.outbox(destination).acknowledge(n);
  }

  private acknowledge(source: number, destination: number, n: number): void {
    if (this.partitions.has(source)) this.acknowledged(source, destination, n);
    else this.ports.post({ kind: "acknowledged", source, destination, n }, []);
  }

  /** n = 0 for unlogged messages. The bytes are not kept. */
  private deliverTo(
    source: number,
    destination: number,
    n: number,
    bytes: Buffer,
    offset: number,
    length: number,
  ): void {
    const here = this.partitions.get(destination);
    if (here === undefined) {
      this.output.relay(source, destination, n, bytes, offset, length);
      return;
    }
    const { mail, frames } = here.processor;
    if (n === 0) {
      mail.acceptUnlogged(copyOf(bytes, offset, length), 0, length);
      return;
    }
    const outcome = mail.acceptRelay(source, n, bytes, offset, length);
    if (outcome === "behind") this.refetch(source, destination, mail.relayCursor(source) + 1);
    if (outcome === "known") {
      // Its source was being recovered when it was told.
      frames.afterCommit(() => {
        this.acknowledge(source, destination, n);
      });
    }
  }

  private refetch(source: number, destination: number, n: number): void {
    const here = this.partitions.get(source);
    if (here !== undefined) here.relay.catchUp(destination, n);
    else this.ports.post({ kind: "refetch", source, destination, n }, []);
  }

  private relayed(source: number, relays: readonly PackedRelay[], bytes: Buffer): void {
    for (const { destination, n, offset, length } of relays) {
      // One that is being recovered has what it lacks fetched when it opens.
      if (!this.partitions.has(destination)) continue;
      this.deliverTo(source, destination, n, bytes, offset, length);
    }
  }

  private scheduleTick(): void {
    const { clock } = this.ports;
    let afterMs = Infinity;
    for (const { processor, checkpointer, stream, phase } of this.partitions.values()) {
      if (phase !== "open") continue;
      const tickAfterMs = Math.min(processor.nextTickMs, stream.nextTickMs) - clock.wallMs();
      afterMs = Math.min(afterMs, tickAfterMs, checkpointer.nextStepMs - clock.monotonicMs());
    }
    this.cancelTick();
    if (afterMs === Infinity) return;
    const delay = Math.min(TIMER_MAX_MS, Math.max(1, afterMs));
    this.cancelTick = this.ports.scheduler.after(delay, () => {
      this.schedulePump();
    });
  }
}
