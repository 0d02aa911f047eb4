/**
 * The worker threads and the partitions they own.
 *
 * 1. A partition is with one worker; a worker that dies is replaced and recovers its partitions from the
 *    log, after the frames it had in flight are decided.
 * 2. A recovery that finds it can't go on as it began is given up with its worker, and begins anew with another. What
 *    was read for one worker never goes to the next.
 */
import { setTimeout as wait } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { CaxtonError } from "../base/errors.ts";
import type { NodeLimits, SnapshotConfig } from "../base/config-schema.ts";
import type { Logger } from "../base/log.ts";
import { systemScheduler } from "../base/scheduler.ts";
import type { FrameRange, Storage } from "../storage/index.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { GUEST_STACK_MEGABYTES } from "./wasm/rewrite/bounds.ts";
import { HangWatchdog } from "./hang-watchdog.ts";
import { checkTails } from "./lost-tail.ts";
import type { KernelWatcher } from "./kernel-watcher.ts";
import type { LogAppender } from "./log-appender.ts";
import { LogRoom } from "./log-room.ts";
import { readPartition } from "./partition-reader.ts";
import { PartitionContended, RecoverAnew, WorkerDied } from "./recover-anew.ts";
import { insteadOfUnavailable, lostWith, unavailable } from "./unavailable.ts";
import { WorkerAnswers } from "./worker-answers.ts";
import type { BlobRequest, WorkerBlobs } from "./worker-blobs.ts";
import { Packer } from "./worker-protocol.ts";
import { noteDeath, type Seat, seatsOf, unbroken } from "./worker-seat.ts";
import type { FromWorker, PostedFrame, ToWorker, WorkerStart } from "./worker-protocol.ts";

/** A worker that dies again and again comes back ever later. */

export interface WorkerPoolOptions {
  readonly workers: number;
  readonly partitions: number;
  readonly incarnation: number;
  readonly limits: NodeLimits;
  readonly snapshots: SnapshotConfig;
  readonly slowTurnMs: number;
  readonly tracing: boolean;
  /** A patient one: what workers wait for they wait for however long it takes. */
  readonly storage: Storage;
  readonly registry: AgentRegistry;
  readonly appender: LogAppender;
  /** Called with frames that are durable, before their worker is told. */
  committed(frames: readonly PostedFrame[]): void;
  readonly blobs: WorkerBlobs;
  readonly watcher: KernelWatcher;
  readonly log: Logger;
  /** What the pool does not handle itself. */
  received(message: FromWorker): void;
  lost(worker: number, error: CaxtonError): void;
  failed(error: CaxtonError): void;
}

export class WorkerPool {
  private readonly options: WorkerPoolOptions;
  private readonly seats: readonly Seat[];
  private readonly suspects = new SharedArrayBuffer(4);
  private readonly room: LogRoom;
  private wasClean = false;
  private stopping = false;
  private hasStarted = false;
  private observation = 0;
  private readonly watchdog: HangWatchdog;
  private readonly recovered = new Map<number, (message: RecoveredMessage) => void>();
  private readonly opened = new Map<number, () => void>();
  private readonly answers = new WorkerAnswers();

  constructor(options: WorkerPoolOptions) {
    this.options = options;
    this.room = new LogRoom({
      log: options.storage.log,
      scheduler: systemScheduler,
      logger: options.log,
      isWaitedFor: () => options.appender.isFull,
      reclaim: () => {
        options.blobs.reclaim();
        for (const seat of this.seats) this.demandCheckpoints(seat.partitions);
      },
      changed: () => {
        for (const seat of this.seats) this.tellRoom(seat);
      },
    });
    options.appender.onFull = () => {
      this.room.refused();
    };
    options.appender.onRoom = () => {
      this.room.check();
    };
    this.seats = seatsOf(options.workers, options.partitions);
    this.watchdog = new HangWatchdog(this.seats, options.log);
  }

  workerOf(partition: number): number {
    return partition % this.options.workers;
  }

  isReady(partition: number): boolean {
    return !this.seats[this.workerOf(partition)]!.notReady.has(partition);
  }

  /** The log is full, and room is being made. */
  get isShort(): boolean {
    return this.room.isShort;
  }

  restartsOf(worker: number): number {
    return this.seats[worker]!.restarts;
  }

  async start(wasClean: boolean): Promise<void> {
    this.wasClean = wasClean;
    const { registry } = this.options;
    const recovering = this.seats.map((seat) => this.recoverSeat(seat, this.spawn(seat)));
    const recovered = await this.unlessBroken(Promise.all(recovering));
    await checkTails(this.options.storage.log, recovered.flat());
    for (const { partition, cursors } of recovered.flat()) {
      this.acknowledgeSources(partition, cursors);
    }
    const { blobs } = this.options;
    const orphans = await blobs.orphans([
      ...registry.blobs(),
      ...recovered.flat().flatMap(({ blobs: named }) => named),
    ]);
    // An epoch begins with a frame, and a full log has no room for it.
    await blobs.recovered(recovered.flat());
    this.room.begin();
    await this.unlessBroken(Promise.all(this.seats.map((seat) => this.open(seat))));
    this.hasStarted = true;
    await blobs.remove(orphans);
    this.options.appender.started();
    await this.room.make();
    this.watchdog.start();
  }

  /** While the node starts: a worker that is lost by then is not replaced, all of it begins anew. */
  private unlessBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, ...this.seats.map(({ broken }) => broken.promise)]);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.watchdog.stop();
    this.options.appender.stop();
    this.options.blobs.stop();
    this.room.stop();
    for (const seat of this.seats) await Promise.allSettled([...seat.appending]);
    await Promise.all(this.seats.map(async (seat) => seat.thread?.terminate()));
    const error = new CaxtonError("NOT_READY", "The node is stopping.");
    this.answers.reject(error);
  }

  post(worker: number, message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    this.seats[worker]!.thread?.postMessage(message, [...transfer]);
  }

  broadcast(message: ToWorker): void {
    for (const seat of this.seats) this.post(seat.index, message);
  }

  /** Sends a request that the worker answers by its number. */
  request<T>(partition: number, build: (requestId: number) => ToWorker): Promise<T> {
    if (!this.isReady(partition)) return Promise.reject(unavailable(partition));
    const worker = this.workerOf(partition);
    const { requestId, answer } = this.answers.await<T>(worker);
    this.post(worker, build(requestId));
    return answer;
  }

  private spawn(seat: Seat): Worker {
    const { partitions, incarnation, limits, snapshots, registry } = this.options;
    const workerData: WorkerStart = {
      worker: seat.index,
      partitions,
      incarnation,
      limits,
      residentsMax: Math.max(1, Math.floor(limits.residentActorsMax / this.seats.length)),
      snapshots,
      slowTurnMs: this.options.slowTurnMs,
      tracing: this.options.tracing,
      shared: seat.shared,
      suspects: this.suspects,
    };
    const thread = new Worker(new URL("./worker-main.ts", import.meta.url), {
      workerData,
      name: `caxton-worker-${String(seat.index)}`,
      resourceLimits: { stackSizeMb: GUEST_STACK_MEGABYTES },
    });
    seat.thread = thread;
    seat.bornMs = performance.now();
    thread.on("message", (message: FromWorker) => {
      this.received(seat, message);
    });
    thread.on("error", (error) => {
      this.options.log.error({ err: error, worker: seat.index }, "worker failed");
    });
    seat.broken = unbroken();
    thread.on("exit", () => {
      if (seat.thread !== thread || this.stopping) return;
      seat.thread = undefined;
      seat.broken.reject(new WorkerDied(seat.index));
      if (this.hasStarted) void this.replace(seat);
    });
    for (const [sha256, module] of registry.allModules()) {
      this.post(seat.index, { kind: "module", sha256, module });
    }
    for (const environment of registry.allEnvironments()) {
      this.post(seat.index, { kind: "environment", environment });
    }
    this.post(seat.index, { kind: "ephemeral", agents: registry.ephemeral() });
    const { observation } = this;
    if (observation > 0) this.post(seat.index, { kind: "observe", observation });
    return thread;
  }

  /** Whether workers post the messages of committed frames. */
  observe(observation: number): void {
    this.observation = observation;
    this.broadcast({ kind: "observe", observation });
  }

  /** Reads the partitions' newest checkpoints and the logs after them into the worker. */
  private async recoverSeat(seat: Seat, thread: Worker): Promise<RecoveredMessage[]> {
    const results: RecoveredMessage[] = [];
    for (const partition of seat.partitions) {
      const recovered = new Promise<RecoveredMessage>((resolve) => {
        this.recovered.set(partition, resolve);
      });
      await readPartition(this.options.storage, partition, (message, transfer) => {
        if (seat.thread !== thread) throw new WorkerDied(seat.index);
        this.post(seat.index, message, transfer);
      });
      results.push(await recovered);
    }
    return results;
  }

  /** Everything a recovered partition has accepted needs no resending. */
  private acknowledgeSources(destination: number, cursors: Cursors): void {
    for (const [source, n] of cursors) {
      this.post(this.workerOf(source), { kind: "acknowledged", source, destination, n });
    }
  }

  /** What the partitions of other workers have taken from this one's. */
  private async learnCursors(seat: Seat): Promise<void> {
    const others = this.seats.filter((other) => other !== seat).flatMap((s) => s.partitions);
    for (const partition of others.filter((p) => this.isReady(p))) {
      const asked = this.request<Cursors>(partition, (requestId) => ({
        kind: "query",
        requestId,
        query: { kind: "cursors", partition },
      }));
      // One that is lost, too, asks in its turn.
      const cursors = await asked.catch(insteadOfUnavailable<Cursors>([]));
      const mine = cursors.filter(([source]) => seat.partitions.includes(source));
      this.acknowledgeSources(partition, mine);
    }
  }

  /** What others sent to the lost worker from memory. */
  private refetchLost(seat: Seat, destination: number, cursors: Cursors): void {
    const known = new Map(cursors);
    for (let source = 0; source < this.options.partitions; source++) {
      if (seat.partitions.includes(source) || !this.isReady(source)) continue;
      const n = (known.get(source) ?? 0) + 1;
      this.post(this.workerOf(source), { kind: "refetch", source, destination, n });
    }
  }

  private async open(seat: Seat): Promise<void> {
    const { isShort } = this;
    const wasClean = this.isClean(seat);
    await Promise.all(
      seat.partitions.map(
        (partition) =>
          new Promise<void>((resolve) => {
            this.opened.set(partition, resolve);
            this.post(seat.index, { kind: "open", partition, wasClean, isShort });
          }),
      ),
    );
    if (isShort !== this.isShort) this.tellRoom(seat);
  }

  /** Partitions work while the log has room. */
  private tellRoom(seat: Seat): void {
    const wasClean = this.isClean(seat);
    const { isShort } = this;
    for (const partition of seat.partitions.filter((id) => !seat.notReady.has(id))) {
      this.post(seat.index, { kind: "open", partition, wasClean, isShort });
    }
  }

  private isClean(seat: Seat): boolean {
    return this.wasClean && seat.restarts === 0;
  }

  private received(seat: Seat, message: FromWorker): void {
    switch (message.kind) {
      case "recovered":
        this.recovered.get(message.partition)?.(message);
        return;
      case "opened":
        seat.notReady.delete(message.partition);
        this.opened.get(message.partition)?.();
        return;
      case "group":
        this.append(seat, message);
        return;
      case "relay":
        this.forwardRelay(message);
        return;
      case "acknowledged":
      case "refetch":
        this.post(this.workerOf(message.source), message);
        return;
      case "read":
        void this.read(seat, message);
        return;
      case "store":
      case "fetch":
      case "trim":
        this.serveBlobs(seat, message);
        return;
      case "answer":
        this.answers.resolve(message.requestId, message.value);
        return;
      case "failed":
        this.options.failed(new CaxtonError(message.code, message.reason));
        return;
      default:
        this.options.received(message);
    }
  }

  private append(seat: Seat, { group, frames }: Extract<FromWorker, { kind: "group" }>): void {
    const { thread } = seat;
    const startMs = performance.now();
    const frameBytes = frames.map(({ frame }) => frame.length);
    const appended = this.options.appender.appendGroup(frames).then(
      () => {
        this.options.watcher.committed(performance.now() - startMs, frameBytes);
        this.options.committed(frames);
        if (seat.thread === thread) this.post(seat.index, { kind: "committed", group });
      },
      (error: unknown) => {
        if (this.stopping) return;
        if (!(error instanceof PartitionContended)) this.options.failed(error as CaxtonError);
        else if (seat.thread === thread) this.giveUp(seat, error);
      },
    );
    seat.appending.add(appended);
    void appended.finally(() => seat.appending.delete(appended));
  }

  private forwardRelay(message: Extract<FromWorker, { kind: "relay" }>): void {
    const workers = new Set(message.relays.map(({ destination }) => this.workerOf(destination)));
    for (const worker of workers) {
      const relays = message.relays.filter((r) => this.workerOf(r.destination) === worker);
      this.post(worker, { ...message, relays });
    }
  }

  private async read(seat: Seat, message: Extract<FromWorker, { kind: "read" }>): Promise<void> {
    const { partition, requestId, ranges } = message;
    const wanted: FrameRange[] = [];
    for (let i = 0; i < ranges.length; i += 3) {
      const [sequence, offset, length] = ranges.subarray(i, i + 3) as unknown as number[];
      wanted.push({ sequence: sequence!, offset: offset!, length: length! });
    }
    const { thread } = seat;
    try {
      const pieces = await this.options.storage.log.readRanges(partition, wanted);
      if (seat.thread !== thread) return;
      const packer = new Packer();
      for (const piece of pieces) packer.add(piece, 0, piece.length);
      const bytes = packer.finish();
      const lengths = wanted.map(({ length }) => length);
      this.post(seat.index, { kind: "ranges", requestId, bytes, lengths }, [bytes.buffer]);
    } catch (error) {
      if (!this.stopping) this.options.failed(error as CaxtonError);
    }
  }

  private serveBlobs(seat: Seat, message: BlobRequest): void {
    const { thread } = seat;
    const served = this.options.blobs.serve(message).then(
      (answer) => {
        if (message.kind === "trim") this.trimmed();
        if (answer === undefined || seat.thread !== thread) return;
        const transfer = answer.kind === "fetched" && answer.bytes !== undefined;
        this.post(seat.index, answer, transfer ? [answer.bytes.buffer as ArrayBuffer] : []);
      },
      (error: unknown) => {
        if (!this.stopping) this.options.failed(error as CaxtonError);
      },
    );
    seat.appending.add(served);
    void served.finally(() => seat.appending.delete(served));
  }

  private trimmed(): void {
    this.room.check();
    // Where partitions share a log, one that rests would keep what the others have written since.
    const { heldBackBy } = this.options.storage.log.usage();
    this.demandCheckpoints(heldBackBy.map(({ partition }) => partition));
  }

  private demandCheckpoints(partitions: readonly number[]): void {
    for (const partition of partitions) {
      this.post(this.workerOf(partition), { kind: "demand-checkpoint", partition });
    }
  }

  /** What its worker knows must not be gone on with. */
  private giveUp(seat: Seat, why: RecoverAnew): void {
    seat.broken.reject(why);
    if (this.hasStarted) void seat.thread?.terminate();
  }

  private async replace(seat: Seat): Promise<void> {
    const respawnMs = noteDeath(seat, performance.now());
    for (const partition of seat.partitions) seat.notReady.add(partition);
    const error = lostWith(seat.index);
    this.answers.reject(error, seat.index);
    this.options.lost(seat.index, error);
    await Promise.allSettled([...seat.appending]);
    await wait(respawnMs, undefined, { ref: false });
    if (this.stopping) return;
    new Int32Array(seat.shared).fill(0);
    for (const partition of seat.partitions) {
      Atomics.compareExchange(new Int32Array(this.suspects), 0, partition + 1, 0);
    }
    const thread = this.spawn(seat);
    try {
      await Promise.race([this.takeOver(seat, thread), seat.broken.promise]);
    } catch (why) {
      this.takeOverFailed(seat, thread, why);
    }
  }

  private takeOverFailed(seat: Seat, thread: Worker, why: unknown): void {
    if (this.stopping) return;
    if (!(why instanceof RecoverAnew)) {
      this.options.failed(why as CaxtonError);
      return;
    }
    this.options.log.warn({ err: why, worker: seat.index }, "reading the logs again");
    if (seat.thread === thread) this.giveUp(seat, why);
  }

  private async takeOver(seat: Seat, thread: Worker): Promise<void> {
    const recovered = await this.recoverSeat(seat, thread);
    for (const { partition, cursors } of recovered) this.acknowledgeSources(partition, cursors);
    await this.learnCursors(seat);
    if (seat.thread !== thread) throw new WorkerDied(seat.index);
    await this.open(seat);
    for (const { partition, cursors } of recovered) this.refetchLost(seat, partition, cursors);
    this.options.watcher.workerReplaced();
    this.options.log.warn({ worker: seat.index }, "worker replaced, its partitions are recovered");
  }
}

type Cursors = RecoveredMessage["cursors"];
type RecoveredMessage = Extract<FromWorker, { kind: "recovered" }>;
