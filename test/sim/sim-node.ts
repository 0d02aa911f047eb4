/**
 * One process: its workers, and what its main thread does for them (appends, reads, relays, replacing
 * workers), after src/actors/worker-pool.ts.
 *
 * 1. A worker's frames are decided before it is replaced.
 */
import type { Environment } from "../../src/actors/environment.ts";
import type { Control } from "../../src/actors/partition/control.ts";
import type { PartitionProcessor } from "../../src/actors/partition/processor.ts";
import type { Query } from "../../src/actors/queries.ts";
import type {
  FromWorker,
  PackedResult,
  PackedSubmission,
  ToWorker,
} from "../../src/actors/worker-protocol.ts";
import { EXIT_CRASH, SimFailure } from "./failure.ts";
import { SimAppender } from "./sim-appender.ts";
import type { ReadsAt } from "./sim-blobs.ts";
import type { SimLog, Writer } from "./sim-log.ts";
import { SimRecovery, doTailsGoTogether, type RecoveredMessage } from "./sim-recovery.ts";
import { type Asked, type Cursors, noteKill, type Seat, seatsOf } from "./sim-seat.ts";
import { SimStore } from "./sim-store.ts";
import { SimWorker, replyOf, type SimWorkerPorts } from "./sim-worker.ts";

const REPLACE_MS = 5;
const READ_MS_MAX = 30;

export type ClientAnswer = PackedResult | { readonly kind: "lost" };

export interface SimNodePorts extends SimWorkerPorts {
  readonly log: SimLog;
  /** What decides is read at the leader. */
  readonly readsAt: ReadsAt;
  readonly environments: ReadonlyMap<number, Environment>;
  ephemeralAgents(): readonly string[];
  /** A message made the process crash. */
  crashed(node: SimNode): void;
  /** Another owner has a partition: the process ends. */
  fenced(node: SimNode): void;
  /** It could not take a partition over as it had read it: it starts again. */
  contended(node: SimNode): void;
  escalate(agent: string, reason: string): void;
  streamed(node: SimNode, message: Extract<FromWorker, { kind: "streamed" }>): void;
  recovered(processor: PartitionProcessor): void;
  committed(processor: PartitionProcessor): void;
}

export class SimNode implements Writer {
  alive = true;
  /** Another process is about to own its partitions. */
  superseded = false;
  private readonly ports: SimNodePorts;
  private readonly seats: Seat[];
  private readonly suspects = new SharedArrayBuffer(4);
  private readonly requests = new Map<
    number,
    { seat: Seat; answer: (answer: ClientAnswer, reply: Buffer | undefined) => void }
  >();
  private readonly answers = new Map<number, Asked>();
  private lastRequest = 0;
  /** True while it takes what is there at the start; then workers are replaced one by one. */
  private starting = true;
  private wasClean = false;
  private onOpen: () => void = () => undefined;
  private readonly appender: SimAppender;
  private readonly store: SimStore;
  /** Of the start. */
  private readonly tails: RecoveredMessage[] = [];

  constructor(ports: SimNodePorts) {
    this.ports = ports;
    this.appender = new SimAppender({
      log: ports.log,
      coverage: ports.coverage,
      readsAt: ports.readsAt,
      writer: this,
      nowMs: () => ports.timeline.nowMs,
      after: (delayMs, action) => this.after(delayMs, action),
      fenced: () => {
        ports.fenced(this);
      },
      away: () => {
        this.refuseAll();
      },
    });
    this.store = new SimStore({
      ...ports,
      after: (delayMs, action) => {
        this.after(delayMs, action);
      },
      isSuperseded: () => this.superseded,
      fenced: () => {
        ports.fenced(this);
      },
    });
    this.seats = seatsOf(ports.swarm);
  }

  // --- Life ---------------------------------------------------------------------------------------------

  start(wasClean: boolean, onOpen: () => void): void {
    this.wasClean = wasClean;
    this.onOpen = onOpen;
    for (const seat of this.seats) this.spawn(seat);
  }

  get isOpen(): boolean {
    return this.alive && this.seats.every((seat) => seat.notReady.size === 0);
  }

  isReady(partition: number): boolean {
    return this.alive && !this.seatOf(partition).notReady.has(partition);
  }

  /** Nothing is under way between the process and its store. */
  get isQuiet(): boolean {
    return this.seats.every(({ appending, worker }) => appending === 0 && worker?.isQuiet === true);
  }

  stop(withPower: boolean): void {
    if (!this.alive) return;
    this.alive = false;
    this.ports.log.writerDied(this, withPower);
    for (const { answer } of this.requests.values()) answer({ kind: "lost" }, undefined);
    this.requests.clear();
  }

  /** Storage has been away for long: nobody waits for it any more. */
  private refuseAll(): void {
    const requests = [...this.requests];
    this.requests.clear();
    for (const [requestId, { answer }] of requests) answer(refusal(requestId), undefined);
  }

  /** Since when the oldest of the frames waits that storage does not answer for; Infinity when none does. */
  get waitsSinceMs(): number {
    return this.alive ? this.appender.waitsSinceMs : Infinity;
  }

  killWorker(index: number): void {
    const seat = this.seats[index % this.seats.length]!;
    if (!this.alive || this.starting || seat.worker === undefined) return;
    noteKill(this.ports.coverage, this.seats, seat);
    this.lose(seat);
  }

  /** Nothing that was read so far may be used: at the start by none of them. */
  private recoverAnew(seat: Seat): void {
    if (this.starting) {
      this.ports.contended(this);
      return;
    }
    this.ports.coverage.hit("replaced worker recovered anew");
    this.lose(seat);
  }

  private lose(seat: Seat): void {
    seat.worker?.end();
    seat.worker = undefined;
    for (const partition of seat.partitions) seat.notReady.add(partition);
    for (const [id, request] of this.requests) {
      if (request.seat !== seat) continue;
      this.requests.delete(id);
      request.answer({ kind: "lost" }, undefined);
    }
    for (const [id, { seat: of, lost }] of this.answers) {
      if (of === seat && this.answers.delete(id)) lost?.();
    }
    this.replaceWhenDecided(seat);
  }

  private replaceWhenDecided(seat: Seat): void {
    this.after(REPLACE_MS, () => {
      if (seat.appending > 0) {
        this.replaceWhenDecided(seat);
        return;
      }
      for (const partition of seat.partitions) {
        Atomics.compareExchange(new Int32Array(this.suspects), 0, partition + 1, 0);
      }
      this.spawn(seat);
    });
  }

  /** Nothing of a dead process happens any more. */
  private after(delayMs: number, action: () => void): () => void {
    return this.ports.timeline.after(delayMs, () => {
      if (this.alive) action();
    });
  }

  private spawn(seat: Seat): void {
    const { environments } = this.ports;
    const worker: SimWorker = new SimWorker(seat.index, this.suspects, this.ports, {
      after: (delayMs, action) => this.after(delayMs, action),
      received: (message) => {
        this.received(seat, worker, message);
      },
      handled: (message) => {
        if (message.kind === "committed") this.sayCommitted(seat);
      },
      crashed: () => {
        this.ports.crashed(this);
      },
    });
    seat.worker = worker;
    for (const environment of environments.values()) {
      this.post(seat, { kind: "environment", environment });
    }
    this.post(seat, { kind: "ephemeral", agents: this.ports.ephemeralAgents() });
    this.recover(seat);
  }

  /** Reads the partitions' logs into the worker, one after the other; meanwhile the others go on. */
  private recover(seat: Seat): void {
    seat.cursors = new Map();
    seat.opened = 0;
    const left = [...seat.partitions];
    const next = (): void => {
      const partition = left.shift();
      if (partition !== undefined) this.recoverOne(seat, partition, next);
    };
    next();
  }

  private recoverOne(seat: Seat, partition: number, done: () => void): void {
    const { ports } = this;
    const { worker } = seat;
    const { log, readsAt, coverage } = ports;
    new SimRecovery(partition, {
      log,
      readsAt,
      coverage,
      read: (action) => {
        this.store.afterLeader(ports.random.nextFloat() ** 2 * READ_MS_MAX, () => {
          if (seat.worker === worker) action();
        });
      },
      checkpoint: (sha256, content) => {
        this.post(seat, { kind: "checkpoint", partition, sha256, content });
      },
      frames: (frames) => {
        this.post(seat, { kind: "recover", partition, frames });
      },
      recovered: () => {
        this.post(seat, { kind: "recovered", partition });
        done();
      },
      contended: () => {
        if (seat.worker === worker) this.recoverAnew(seat);
      },
    }).start();
  }

  private recovered(seat: Seat, message: Extract<FromWorker, { kind: "recovered" }>): void {
    seat.cursors.set(message.partition, message.cursors);
    this.tails.push(message);
    this.ports.recovered(this.processor(message.partition)!);
    if (seat.cursors.size < seat.partitions.length) return;
    if (!this.starting) {
      this.acknowledge(seat);
      this.learnCursors(seat, () => {
        this.open(seat, false);
      });
      return;
    }
    if (this.seats.some(({ cursors, partitions }) => cursors.size < partitions.length)) return;
    if (!doTailsGoTogether(this.tails, this.ports, () => this.ports.contended(this))) return;
    for (const each of this.seats) this.acknowledge(each);
    for (const each of this.seats) this.open(each, this.wasClean);
  }

  private acknowledge(seat: Seat): void {
    for (const [destination, cursors] of seat.cursors) {
      for (const [source, n] of cursors) {
        this.post(this.seatOf(source), { kind: "acknowledged", source, destination, n });
      }
    }
  }

  private learnCursors(seat: Seat, done: () => void): void {
    const { worker } = seat;
    const others = this.seats.filter((other) => other !== seat).flatMap((s) => s.partitions);
    const next = (): void => {
      if (seat.worker !== worker) return;
      const partition = others.pop();
      if (partition === undefined) {
        done();
        return;
      }
      const told = (cursors: Cursors): void => {
        const own = cursors.filter(([source]) => seat.partitions.includes(source));
        for (const [source, n] of own) {
          this.post(seat, { kind: "acknowledged", source, destination: partition, n });
        }
        next();
      };
      // One that is lost, too, asks in its turn.
      if (!this.isReady(partition)) next();
      else this.query<Cursors>({ kind: "cursors", partition }, told, next);
    };
    next();
  }

  private request(seat: Seat, done: Asked["done"], lost?: () => void): number {
    const requestId = ++this.lastRequest;
    this.answers.set(requestId, { seat, done, lost });
    return requestId;
  }

  private open(seat: Seat, wasClean: boolean): void {
    for (const partition of seat.partitions) this.post(seat, { kind: "open", partition, wasClean });
  }

  private opened(seat: Seat, partition: number): void {
    seat.notReady.delete(partition);
    seat.opened++;
    if (seat.opened < seat.partitions.length) return;
    if (!this.starting) {
      for (const [destination, cursors] of seat.cursors)
        this.refetchLost(seat, destination, cursors);
    } else if (this.isOpen) {
      this.starting = false;
      this.onOpen();
    }
  }

  private refetchLost(seat: Seat, destination: number, cursors: Cursors): void {
    const known = new Map(cursors);
    for (let source = 0; source < this.ports.swarm.partitions; source++) {
      if (seat.partitions.includes(source) || !this.isReady(source)) continue;
      const n = (known.get(source) ?? 0) + 1;
      this.post(this.seatOf(source), { kind: "refetch", source, destination, n });
    }
  }

  // --- Between the threads ------------------------------------------------------------------------------

  private seatOf(partition: number): Seat {
    return this.seats[partition % this.seats.length]!;
  }

  private post(seat: Seat, message: ToWorker): void {
    if (seat.worker !== undefined) seat.worker.post(message);
    else if (message.kind === "relay") this.ports.coverage.hit("relay dropped");
  }

  private sayCommitted(seat: Seat): void {
    for (const partition of seat.partitions) {
      const processor = this.processor(partition);
      if (processor !== undefined) this.ports.committed(processor);
    }
  }

  private received(seat: Seat, worker: SimWorker, message: FromWorker): void {
    switch (message.kind) {
      case "recovered":
        this.recovered(seat, message);
        return;
      case "opened":
        this.opened(seat, message.partition);
        return;
      case "group":
        this.append(seat, worker, message);
        return;
      case "relay":
        this.forwardRelay(message);
        return;
      case "acknowledged":
        this.post(this.seatOf(message.source), { ...message, kind: "acknowledged" });
        return;
      case "refetch":
        this.ports.coverage.hit("relay refetched");
        this.post(this.seatOf(message.source), { ...message, kind: "refetch" });
        return;
      case "read":
        this.store.read(worker, message);
        return;
      case "store":
      case "fetch":
      case "trim":
        this.store.serve(worker, message);
        return;
      case "answer": {
        const answer = this.answers.get(message.requestId);
        this.answers.delete(message.requestId);
        answer?.done(message.value);
        return;
      }
      case "results":
        this.results(message);
        return;
      case "streamed":
        this.ports.streamed(this, message);
        return;
      case "escalate":
        this.ports.escalate(message.agent, message.reason);
        return;
      case "failed":
        throw new SimFailure(EXIT_CRASH, message.reason);
      default:
    }
  }

  private append(
    seat: Seat,
    worker: SimWorker,
    { group, frames }: Extract<FromWorker, { kind: "group" }>,
  ): void {
    seat.appending++;
    this.appender.appendGroup(frames, (end) => {
      seat.appending--;
      if (end === "durable") worker.post({ kind: "committed", group });
      else if (seat.worker === worker) this.recoverAnew(seat);
    });
  }

  private forwardRelay(message: Extract<FromWorker, { kind: "relay" }>): void {
    const seats = new Set(message.relays.map(({ destination }) => this.seatOf(destination)));
    for (const seat of seats) {
      // Now, when it loses what it is about to be told.
      if (this.ports.log.strikes("workerKills")) this.killWorker(seat.index);
      const relays = message.relays.filter(({ destination }) => this.seatOf(destination) === seat);
      this.post(seat, { ...message, relays });
    }
  }

  // --- Clients and operators ----------------------------------------------------------------------------

  submit(
    submission: Omit<PackedSubmission, "requestId" | "offset" | "length">,
    envelope: Buffer,
    answer: (answer: ClientAnswer, reply: Buffer | undefined) => void,
  ): number {
    const seat = this.seatOf(submission.partition);
    const requestId = ++this.lastRequest;
    if (this.appender.isAwayForLong) {
      answer(refusal(requestId), undefined);
      return requestId;
    }
    this.requests.set(requestId, { seat, answer });
    const packed = { ...submission, requestId, offset: 0, length: envelope.length };
    this.post(seat, { kind: "submit", submissions: [packed], bytes: Uint8Array.from(envelope) });
    return requestId;
  }

  forget(partition: number, id: string, requestId: number): void {
    this.requests.delete(requestId);
    this.post(this.seatOf(partition), { kind: "forget", partition, id, requestId });
  }

  control(partition: number, control: Control, done: () => void): void {
    const seat = this.seatOf(partition);
    const requestId = this.request(seat, done);
    this.post(seat, { kind: "control", requestId, partition, control });
  }

  query<T>(query: Query, done: (value: T) => void, lost?: () => void): void {
    const seat = this.seatOf(query.partition);
    const requestId = this.request(seat, done as Asked["done"], lost);
    this.post(seat, { kind: "query", requestId, query });
  }

  /** To each worker what is for it. */
  postAll(build: (isHere: (of: { readonly partition: number }) => boolean) => ToWorker): void {
    for (const seat of this.seats) {
      this.post(
        seat,
        build(({ partition }) => this.seatOf(partition) === seat),
      );
    }
  }

  announce(environment: Environment): void {
    for (const seat of this.seats) {
      this.post(seat, { kind: "environment", environment });
      this.post(seat, { kind: "ephemeral", agents: this.ports.ephemeralAgents() });
    }
  }

  private results({ results, bytes }: Extract<FromWorker, { kind: "results" }>): void {
    for (const result of results) {
      const request = this.requests.get(result.requestId);
      this.requests.delete(result.requestId);
      request?.answer(result, replyOf(result, bytes));
    }
  }

  // --- For the checks -----------------------------------------------------------------------------------

  processor(partition: number): PartitionProcessor | undefined {
    return this.seatOf(partition).worker?.processor(partition);
  }
}

function refusal(requestId: number): PackedResult {
  return { kind: "refused", requestId, code: "STORAGE_UNAVAILABLE", reason: "no leader" };
}
