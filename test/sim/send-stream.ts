/**
 * The stream that clients send by, and its readers, one in each node's process.
 *
 * 1. What is published is never lost, and taken in once, in order, or refused.
 * 2. Nothing is trimmed that a partition may still ask for.
 * 3. When its servers lose their power the stream may lose its end; what is published then gets those numbers.
 */
import { hashAddressText, partitionOf } from "../../src/actors/address.ts";
import type { StreamPlace } from "../../src/actors/kernel.ts";
import { FLAG_CLIENT, encodeEnvelope } from "../../src/actors/wasm/envelope.ts";
import { Packer, type FromWorker } from "../../src/actors/worker-protocol.ts";
import type { SeededRandom } from "../../src/base/random.ts";
import { EPHEMERAL } from "./agents.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import type { SimNode } from "./sim-node.ts";
import { fork, type Swarm } from "./swarm.ts";
import type { Timeline } from "./timeline.ts";
import { Workload } from "./workload.ts";

const INCARNATION = 7;
const LOST_MAX = 6;
/** How far the clock of another leader may be behind. */
const BEHIND_S_MAX = 1;
/** How long servers that lost their power are away, at least. */
const AWAY_S = 2;
const READ_EVERY_MS = 8;
const BURIED_AFTER_MS = 30;
const TRIM_EVERY_MS = 100;

interface Streamed {
  readonly n: number;
  readonly storedS: number;
  readonly partition: number;
  readonly token: string;
  readonly ownId: string | undefined;
  readonly envelope: Buffer;
  readonly isUnlogged: boolean;
}

type New = Omit<Streamed, "n" | "storedS">;

interface Numbered {
  readonly partition: number;
  readonly n: number;
}

interface Parts {
  readonly messages?: readonly Streamed[];
  readonly disposed?: readonly Numbered[];
  readonly givenUp?: readonly Numbered[];
}

export interface SendStreamPorts {
  readonly swarm: Swarm;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  wallMs(): number;
}

export class SendStream {
  readonly messages: Streamed[] = [];
  readonly ports: SendStreamPorts;
  private readonly workload: Workload;
  private readonly settled = new Set<number>();
  private readonly buried = new Set<string>();
  private readonly firstMs = new Map<string, number>();
  private readonly repeated = new Set<string>();
  private readonly losses: SeededRandom;
  private unpublished = 0;
  private published = 0;
  private trimmed = 0;
  private nowS = 1_700_000_000;

  constructor(ports: SendStreamPorts) {
    this.ports = ports;
    const { swarm } = ports;
    // How often a crash may be blamed on the innocent is counted by what the other clients send.
    const faults = new Set([...swarm.faults].filter((fault) => fault !== "poison"));
    this.workload = new Workload({ ...swarm, faults }, ports.random);
    this.losses = fork(swarm.seed, "losses of the stream");
  }

  start(): void {
    const { swarm, timeline, random } = this.ports;
    for (let i = 0; i < swarm.streamed; i++) {
      this.unpublished++;
      timeline.after(random.nextFloat() * swarm.loadMs, () => {
        this.unpublished--;
        this.publish(i);
      });
    }
    // Servers that lose what they acknowledged may have trimmed before.
    if (swarm.streamed > 0 && !swarm.faults.has("tailLosses")) this.trimNowAndThen();
  }

  private publish(i: number): void {
    const { random, swarm } = this.ports;
    const receiver = this.workload.receiver();
    const token = `s${swarm.seed}-${i}`;
    const place = this.published++;
    const { plan } = this.workload.plan(receiver);
    const isOwn = random.chance(0.3);
    const envelope = encodeEnvelope({
      flags: FLAG_CLIENT,
      id: token,
      sender: "stream",
      receiver,
      content: Buffer.from(JSON.stringify({ ...plan, place })),
    });
    const partition = partitionOf(hashAddressText(receiver), swarm.partitions);
    const isUnlogged = receiver.startsWith(EPHEMERAL);
    const message = { partition, token, ownId: isOwn ? token : undefined, envelope, isUnlogged };
    this.firstMs.set(token, this.ports.wallMs());
    this.append(message);
    if (isOwn && random.chance(0.5)) this.publishAgain(message);
  }

  private publishAgain(message: New): void {
    const { timeline, random } = this.ports;
    this.unpublished++;
    timeline.after(random.nextFloat() ** 2 * 2000, () => {
      this.unpublished--;
      this.repeated.add(message.token);
      this.append(message);
    });
  }

  private append(message: New): void {
    const storedS = this.nowS - this.losses.below(BEHIND_S_MAX + 1);
    this.messages.push({ ...message, n: this.messages.length + 1, storedS });
  }

  /** With its servers' power. */
  loseEnd(): void {
    const { losses, messages, ports } = this;
    this.nowS += AWAY_S;
    if (losses.chance(0.5)) return;
    const kept = Math.max(this.trimmed, messages.length - losses.below(LOST_MAX + 1));
    const lost = messages.splice(kept);
    for (const { n } of lost) this.settled.delete(n);
    if (lost.length > 0) ports.coverage.hit("end of the stream of sends lost");
  }

  /** Of what a partition met the newest that is still there, after SendIntake of src/api/nats/send-intake.ts. */
  lastOfKnown(partition: number, { upTo: n, upToS }: StreamPlace): number {
    const { messages, trimmed } = this;
    if (n <= trimmed) return n;
    if (n <= messages.length && messages[n - 1]!.storedS <= upToS) return n;
    const later = (each: Streamed): boolean => each.partition === partition && each.storedS > upToS;
    const anew = upToS === 0 ? undefined : messages.find(later)?.n;
    return anew === undefined ? Math.min(n, messages.length) : Math.min(n, anew - 1);
  }

  firstSentMs(token: string): number {
    return this.firstMs.get(token) ?? 0;
  }

  /** One that its agent has forgotten may come a second time, after others. */
  isOutOfOrder(token: string): boolean {
    return this.repeated.has(token);
  }

  settle(n: number): void {
    this.settled.add(n);
  }

  bury({ token }: Streamed): void {
    this.buried.add(token);
    this.ports.coverage.hit("streamed message refused");
  }

  /** The log lost its end: what it had taken in since is to be taken in again. */
  tailLost(): void {
    this.settled.clear();
  }

  private trimNowAndThen(): void {
    this.ports.timeline.after(TRIM_EVERY_MS, () => {
      while (this.settled.has(this.trimmed + 1)) this.trimmed++;
      if (!this.isDone) this.trimNowAndThen();
    });
  }

  /** A partition reads on behind this number. It may wait for one that the stream lost, and be done with later ones. */
  begun(partition: number, floor: number, isDone: (n: number) => boolean): void {
    const own = this.messages.filter((message) => message.partition === partition);
    const missing = own.find(({ n }) => n > floor && n <= this.trimmed && !isDone(n));
    promise(missing === undefined, () => `${missing?.token ?? ""} was trimmed and is asked for`);
    for (const { n } of own) if (n <= floor) this.settled.add(n);
  }

  get isDone(): boolean {
    return this.unpublished === 0 && this.settled.size === this.messages.length;
  }

  /** For people: what nobody has settled. */
  get unsettled(): string {
    const left = this.messages.filter(({ n }) => !this.settled.has(n));
    return left.map(({ n, partition, token }) => `${n} ${token} of ${partition}`).join(", ");
  }

  checkEnd(accepted: ReadonlySet<string>): void {
    for (const { token, isUnlogged } of this.messages) {
      promise(
        isUnlogged || accepted.has(token) || this.buried.has(token),
        () => `${token} was published and is lost`,
      );
    }
  }
}

/** What a node's main thread does for the stream, after src/api/nats/send-intake.ts. */
export class SimStreamReader {
  private readonly stream: SendStream;
  private readonly node: SimNode;
  /** Number to go on from, of the worker that said so; a partition that has not begun is not there. */
  private readonly next = new Map<number, { readonly n: number; readonly by: unknown }>();
  private readonly beginning = new Map<number, unknown>();

  constructor(stream: SendStream, node: SimNode) {
    this.stream = stream;
    this.node = node;
  }

  start(): void {
    if (this.stream.ports.swarm.streamed > 0) this.readOn();
  }

  streamed({ settled, refused }: Extract<FromWorker, { kind: "streamed" }>): void {
    const { coverage, timeline } = this.stream.ports;
    for (const each of settled) {
      coverage.hit("streamed message settled", each.settled.length);
      for (const n of each.settled) this.stream.settle(n);
    }
    for (const { partition, n } of refused) {
      const message = this.stream.messages[n - 1]!;
      timeline.after(BURIED_AFTER_MS, () => {
        this.stream.bury(message);
        if (this.node.alive) this.post({ disposed: [{ partition, n }] });
      });
    }
  }

  private readOn(): void {
    const { timeline, random, swarm } = this.stream.ports;
    timeline.after(random.nextFloat() * 2 * READ_EVERY_MS, () => {
      if (!this.node.alive || this.stream.isDone) return;
      for (let partition = 0; partition < swarm.partitions; partition++) this.read(partition);
      this.readOn();
    });
  }

  private read(partition: number): void {
    const { random, coverage } = this.stream.ports;
    if (!this.node.isReady(partition)) return;
    const next = this.next.get(partition);
    const by = this.node.processor(partition);
    if (next === undefined || next.by !== by || random.chance(0.01)) {
      this.begin(partition);
      return;
    }
    const { messages } = this.stream;
    if (random.chance(0.02)) {
      coverage.hit("stream given up on");
      this.post({ givenUp: [{ partition, n: random.below(messages.length + 1) }] });
    }
    // Now and then all of it again.
    const from = random.chance(0.05) ? 1 : next.n;
    const found = messages.slice(from - 1).filter((m) => m.partition === partition);
    const taken = found.slice(0, 1 + random.below(10));
    if (taken.length === 0) return;
    this.next.set(partition, { n: Math.max(next.n, taken.at(-1)!.n + 1), by });
    this.post({ messages: taken });
  }

  private post({ messages = [], disposed = [], givenUp = [] }: Parts): void {
    this.node.postAll((isHere) => {
      const packer = new Packer();
      const packed = messages
        .filter(isHere)
        .map(({ partition, n, storedS, ownId: id, envelope }) => {
          return { partition, n, storedS, id, ...packer.add(envelope, 0, envelope.length) };
        });
      return {
        kind: "stream",
        messages: packed,
        bytes: packer.finish(),
        disposed: disposed.filter(isHere),
        givenUp: givenUp.filter(isHere),
      };
    });
  }

  private begin(partition: number): void {
    const { stream, node } = this;
    const by = node.processor(partition);
    if (this.beginning.get(partition) === by) return;
    this.beginning.set(partition, by);
    node.query<StreamPlace>({ kind: "stream", partition }, (found) => {
      const isKnown = found.incarnation === INCARNATION;
      const last = isKnown ? stream.lastOfKnown(partition, found) : 0;
      if (isKnown && last === found.upTo) {
        this.begun(partition, found.floor, by);
        return;
      }
      if (isKnown) stream.ports.coverage.hit("place in the stream of sends taken back");
      node.control(partition, { kind: "stream-begin", incarnation: INCARNATION, last }, () => {
        node.query<StreamPlace>({ kind: "stream", partition }, ({ floor }) => {
          this.begun(partition, floor, by);
        });
      });
    });
  }

  private begun(partition: number, floor: number, by: unknown): void {
    if (this.beginning.get(partition) !== by) return;
    this.beginning.delete(partition);
    this.stream.ports.coverage.hit("stream begun");
    // One that was taken over is behind, and writes no more.
    const { stream } = this.node.processor(partition)!.state;
    if (!this.node.superseded) this.stream.begun(partition, floor, (n) => stream.isDone(n));
    this.next.set(partition, { n: floor + 1, by });
  }
}
