/**
 * One real shard with the real executor, driven by hand: nothing runs before `run`, no frame is durable
 * before `commit`. The log outlives the shard, so that `restart` recovers from it.
 */
import { createHash } from "node:crypto";
import { hashAddressText, partitionOf } from "../../src/actors/address.ts";
import { compileManifest } from "../../src/actors/manifest.ts";
import type { Control } from "../../src/actors/partition/control.ts";
import type { Query } from "../../src/actors/queries.ts";
import { Shard } from "../../src/actors/shard.ts";
import {
  FLAG_CLIENT,
  FLAG_WANTS_REPLY,
  decodeMessage,
  encodeEnvelope,
} from "../../src/actors/wasm/envelope.ts";
import { rewriteModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import { sandboxHost } from "../../src/actors/wasm/deploy/sandbox-imports.ts";
import { WasmInstance } from "../../src/actors/wasm/instance.ts";
import { deltaOf } from "../../src/actors/wasm/memory-delta.ts";
import type { MemoryDelta } from "../../src/actors/wasm/memory-delta.ts";
import { WasmExecutor } from "../../src/actors/wasm/wasm-executor.ts";
import { Packer } from "../../src/actors/worker-protocol.ts";
import type { FromWorker, ToWorker } from "../../src/actors/worker-protocol.ts";
import { readFrameHeader } from "../../src/storage/frame-codec.ts";
import { checkpointOf } from "../../src/storage/frame-entries.ts";
import type { NodeLimits, SnapshotConfig } from "../../src/base/config-schema.ts";
import { loadConfig } from "../../src/base/config.ts";

const INCARNATION = 7;

export interface DrivenAgent {
  /** In namespace `default`. */
  readonly name: string;
  readonly wasm: Uint8Array;
  /** YAML of the manifest's `spec`. */
  readonly spec?: string;
  /** False for one that was deployed before there were traces. */
  readonly carriesTrace?: boolean;
}

/** What a client was told; a reply comes with its text. */
export interface Told {
  readonly kind: "accepted" | "refused" | "reply" | "failure";
  readonly requestId: number;
  readonly duplicate?: boolean;
  readonly code?: string;
  readonly text?: string;
}

export interface Relayed {
  readonly destination: number;
  readonly n: number;
  readonly text: string;
}

type Group = Extract<FromWorker, { kind: "group" }>;

export class ShardDriver {
  readonly told: Told[] = [];
  readonly relayed: Relayed[] = [];
  readonly refetches: { readonly source: number; readonly n: number }[] = [];
  /** Messages of other partitions that these were told are accepted. */
  readonly acknowledged: { readonly source: number; readonly n: number }[] = [];
  /** Durable frames of each partition. */
  readonly log = new Map<number, Buffer[]>();
  /** Ranges of the log that were read. */
  reads = 0;
  /** Called for each frame that a read is about. */
  frameRead: (sequence: number, bytes: number) => void = () => undefined;
  /** For frames kept from the next restart on until actors are back. */
  tailBytesMax: number | undefined;
  readonly blobs = new Map<string, Buffer>();
  /** Blobs that are to be stored get lost. */
  holdBlobs = false;
  /** What it let go of the log, and of the blobs. */
  readonly trims: { readonly below: number; readonly blobs: readonly string[] }[] = [];
  private readonly partitions: number;
  private readonly limits: NodeLimits;
  private readonly snapshots: SnapshotConfig;
  /** By the numbers of their environments, from 1. */
  private announced: DrivenAgent[];
  private shard!: Shard;
  private tasks: (() => void)[] = [];
  private group: Group | undefined;
  private readonly answers = new Map<number, unknown>();
  private lastRequest = 0;
  /** Both clocks. */
  nowMs = 1_000_000;

  /** Owns partition 0 of `partitions`, where all agents are deployed. */
  constructor(
    agents: readonly DrivenAgent[],
    partitions = 1,
    limits: Partial<NodeLimits> = {},
    snapshots: Partial<SnapshotConfig> = {},
  ) {
    this.announced = [...agents];
    this.partitions = partitions;
    this.snapshots = { ...loadConfig({}).snapshots, ...snapshots };
    this.limits = { ...loadConfig({}).limits, ...limits };
    this.log.set(0, []);
    this.start();
    agents.forEach(({ name }, i) => {
      this.control({
        kind: "deploy",
        agent: `default/${name}`,
        environment: i + 1,
        resetMemory: false,
      });
    });
    this.settle();
  }

  /** The shard is gone; a new one recovers from the durable frames, with other code if that is given. */
  restart(agents: readonly DrivenAgent[] = this.announced): void {
    this.announced = [...agents];
    this.tasks = [];
    this.group = undefined;
    this.start();
  }

  private start(): void {
    const clock = { wallMs: () => this.nowMs, monotonicMs: () => this.nowMs };
    const { limits, partitions } = this;
    const shared = new SharedArrayBuffer(8);
    const suspects = new SharedArrayBuffer(4);
    const { askChainMax, residentActorsMax: residentsMax } = limits;
    const identity = { worker: 0, partitions, incarnation: INCARNATION };
    const { snapshots } = this;
    const start = {
      ...identity,
      limits,
      snapshots,
      residentsMax,
      slowTurnMs: 0,
      tracing: false,
      shared,
      suspects,
    };
    this.shard = new Shard(start, {
      clock,
      scheduler: {
        soon: (run) => void this.tasks.push(run),
        after: () => () => undefined,
      },
      seed: 1,
      ...(this.tailBytesMax !== undefined && { tailBytesMax: this.tailBytesMax }),
      post: (message) => {
        this.posted(message);
      },
      createExecutor: (batch, source) =>
        new WasmExecutor(batch, clock, source, { askChainMax, residentsMax }),
    });
    this.announced.forEach((agent, i) => {
      this.announceAs(i + 1, agent);
    });
    const frames = this.log.get(0)!.map((frame, i) => ({ sequence: i + 1, frame }));
    const named = frames.length === 0 ? 0 : readFrameHeader(frames.at(-1)!.frame).checkpointFrameNo;
    const checkpoint = named === 0 ? undefined : checkpointOf(frames[named - 1]!.frame);
    if (checkpoint !== undefined) {
      const { sha256 } = checkpoint;
      const content = this.blobs.get(sha256)!;
      this.handle({ kind: "checkpoint", partition: 0, sha256, content });
    }
    const from = checkpoint?.stateFrameNo ?? 0;
    this.handle({ kind: "recover", partition: 0, frames: frames.slice(from) });
    this.handle({ kind: "recovered", partition: 0 });
    this.handle({ kind: "open", partition: 0, wasClean: true });
    this.settle();
  }

  /** Makes code known; returns the numbers of its environments. */
  announce(agents: readonly DrivenAgent[]): number[] {
    const first = this.announced.length + 1;
    this.announced.push(...agents);
    agents.forEach((agent, i) => {
      this.announceAs(first + i, agent);
    });
    return agents.map((_, i) => first + i);
  }

  private announceAs(id: number, agent: DrivenAgent): void {
    const { name, wasm, spec, carriesTrace = true } = agent;
    const text = `apiVersion: caxton/v1\nkind: Agent\nmetadata: {name: ${name}}\nspec: {${spec ?? ""}}`;
    const manifest = compileManifest(text, this.limits);
    const { bytes, info } = rewriteModule(wasm, manifest.limits);
    const module = new WebAssembly.Module(Uint8Array.from(bytes));
    const globals = info.mutableGlobals.map(({ exportName }) => exportName);
    const { replayOnly } = info;
    const code = { module, door: "core", globals, replayOnly } as const;
    const template = replayOnly ? undefined : templateOf(code);
    const start = createHash("sha256").update(bytes).digest("hex");
    this.handle({
      kind: "module",
      sha256: start,
      module: { ...code, template, sourceMap: undefined },
    });
    const environment = { id, agent: `default/${name}`, version: String(id), manifest, replayOnly };
    const starts = { moduleSha256: start, templateSha256: undefined };
    this.handle({ kind: "environment", environment: { ...environment, ...starts, carriesTrace } });
  }

  /** Time has passed: what is due happens. */
  tick(): void {
    this.query({ kind: "status", partition: 0 });
    this.settle();
  }

  handle(message: ToWorker): void {
    this.shard.handle(message);
  }

  /** Runs the shard until it waits for something. */
  run(): void {
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task();
  }

  /** The group in flight becomes durable. False when there is none. */
  commit(): boolean {
    const { group } = this;
    if (group === undefined) return false;
    this.group = undefined;
    for (const { partition, frame } of group.frames) {
      this.log.get(partition)!.push(Buffer.from(frame));
    }
    this.handle({ kind: "committed", group: group.group });
    return true;
  }

  /** Runs and commits until nothing is left to do. */
  settle(): void {
    do this.run();
    while (this.commit());
  }

  /** A key whose actor lives in the partition. */
  addressIn(partition: number, agent: string): string {
    for (let i = 0; ; i++) {
      const address = `default/${agent}/k${String(i)}`;
      if (partitionOf(hashAddressText(address), this.partitions) === partition) return address;
    }
  }

  /** Returns the request's id. The message's id counts as chosen by the client when it is given. */
  submit(
    receiver: string,
    text: string,
    options: { id?: string; wantsReply?: boolean; headers?: Record<string, string> } = {},
  ) {
    const requestId = ++this.lastRequest;
    const id = options.id ?? `m-${String(requestId)}`;
    const wantsReply = options.wantsReply ?? false;
    const bytes = encodeEnvelope({
      flags: FLAG_CLIENT | (wantsReply ? FLAG_WANTS_REPLY : 0),
      id,
      sender: "client",
      receiver,
      contentType: "text/plain",
      content: Buffer.from(text),
      headers: options.headers,
    });
    const chosenId = options.id !== undefined;
    const place = { partition: 0, offset: 0, length: bytes.length };
    const submission = { ...place, requestId, id, chosenId, wantsReply };
    this.handle({ kind: "submit", submissions: [submission], bytes });
    return requestId;
  }

  /** Asks and waits for everything; what the client was told. */
  ask(receiver: string, text: string, id?: string): Told | undefined {
    const options = id === undefined ? { wantsReply: true } : { id, wantsReply: true };
    const requestId = this.submit(receiver, text, options);
    this.settle();
    return this.told.find((one) => one.requestId === requestId);
  }

  /** A message of an actor in another partition, with its number in that pair's sequence. */
  relay(source: number, n: number, receiver: string, text: string): void {
    const packer = new Packer();
    const envelope = encodeEnvelope({
      flags: 0,
      id: `r-${String(n)}`,
      sender: "default/elsewhere/one",
      receiver,
      contentType: "text/plain",
      content: Buffer.from(text),
    });
    const relays = [{ destination: 0, n, ...packer.add(envelope, 0, envelope.length) }];
    this.handle({ kind: "relay", source, relays, bytes: packer.finish() });
  }

  control(control: Control): void {
    this.handle({ kind: "control", requestId: ++this.lastRequest, partition: 0, control });
  }

  query(query: Query): unknown {
    const requestId = ++this.lastRequest;
    this.handle({ kind: "query", requestId, query });
    this.settle();
    return this.answers.get(requestId);
  }

  private posted(message: FromWorker): void {
    switch (message.kind) {
      case "group":
        this.group = message;
        return;
      case "results":
        for (const result of message.results) {
          const text =
            result.kind === "reply"
              ? Buffer.from(
                  decodeMessage(Buffer.from(message.bytes), result.offset).content,
                ).toString()
              : undefined;
          this.told.push(text === undefined ? result : { ...result, text });
        }
        return;
      case "relay":
        for (const { destination, n, offset } of message.relays) {
          const { content } = decodeMessage(Buffer.from(message.bytes), offset);
          this.relayed.push({ destination, n, text: Buffer.from(content).toString() });
        }
        return;
      case "acknowledged":
        this.acknowledged.push({ source: message.source, n: message.n });
        return;
      case "refetch":
        this.refetches.push({ source: message.source, n: message.n });
        return;
      case "answer":
        this.answers.set(message.requestId, message.value);
        return;
      case "store": {
        const sha256 = createHash("sha256").update(message.content).digest("hex");
        if (this.holdBlobs) return;
        this.blobs.set(sha256, Buffer.from(message.content));
        this.tasks.push(() => {
          this.handle({ kind: "stored", requestId: message.requestId, sha256 });
        });
        return;
      }
      case "fetch": {
        const { requestId, sha256, offset, length } = message;
        const bytes = this.blobs.get(sha256)?.subarray(offset, offset + length);
        this.tasks.push(() => {
          this.handle({ kind: "fetched", requestId, bytes });
        });
        return;
      }
      case "trim":
        this.trims.push(message);
        for (const sha256 of message.blobs) this.blobs.delete(sha256);
        return;
      case "read":
        this.tasks.push(() => {
          this.read(message);
        });
        return;
      default:
    }
  }

  /** Takes a checkpoint of what there is. */
  checkpoint(): void {
    this.nowMs += this.snapshots.intervalMs;
    this.tick();
  }

  private read({ requestId, partition, ranges }: Extract<FromWorker, { kind: "read" }>): void {
    const pieces: Buffer[] = [];
    this.reads += ranges.length / 3;
    const frames = new Set(ranges.filter((_, i) => i % 3 === 0));
    for (const frame of frames) this.frameRead(frame, this.log.get(partition)![frame - 1]!.length);
    for (let i = 0; i < ranges.length; i += 3) {
      const frame = this.log.get(partition)![ranges[i]! - 1]!;
      pieces.push(frame.subarray(ranges[i + 1], ranges[i + 1]! + ranges[i + 2]!));
    }
    const lengths = pieces.map(({ length }) => length);
    this.handle({ kind: "ranges", requestId, bytes: Buffer.concat(pieces), lengths });
  }
}

/** As the sandbox takes it at a deployment. */
function templateOf(code: ConstructorParameters<typeof WasmInstance>[0]): MemoryDelta {
  const host = sandboxHost(code.door);
  const instance = new WasmInstance(code, host.imports);
  host.attach(instance);
  const fresh = instance.image().pages;
  instance.initialize(BigInt(1_000_000));
  instance.refresh();
  return deltaOf(fresh, instance.bytes, instance.globalValues());
}
