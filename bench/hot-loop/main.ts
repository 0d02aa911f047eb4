/**
 * The bare loop: what passing messages among WebAssembly actors costs when nothing else is done. 1,000
 * actors pass 256 bytes each among themselves, with fuel; what they did is written into frames that
 * another thread appends. No ids, no addresses, no partitions, no isolation of failures: what a real
 * server does beyond this is its own.
 * Usage: node main.ts durable|ephemeral SECONDS FILE   (FILE: LOG_BYTES of zeros; prints one JSON object)
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { crc32 } from "node:zlib";
import { HOST_EXPORT } from "../../src/actors/wasm/rewrite/host-exports.ts";
import { rewriteModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import { COMMITTED, FILLED, FRAME_BYTES, FRAMES, type LogThreadStart, STOP } from "./protocol.ts";

const ACTORS = 1000;
const IN_FLIGHT = 4000;
const BODY_BYTES = 256;
/** In front of what a turn did: actor, sequence, checksum and the like. */
const TURN_HEADER_BYTES = 24;
const EFFECT_HEADER_BYTES = 4;
const TURN_BYTES = TURN_HEADER_BYTES + EFFECT_HEADER_BYTES + BODY_BYTES;
/** Power of two above the messages in flight. */
const MAILBOX_SLOTS = 8192;
const FUEL = 100_000_000n;
const TURNS_BETWEEN_LOOKS = 512;
const WARM_UP_MS = 1000;

interface HotActor {
  readonly begin: (fuel: bigint) => void;
  readonly handle: (ptr: number, bytes: number) => number;
  readonly memory: Uint8Array;
  readonly body: number;
}

class HotLoop {
  handled = 0;
  private readonly actors: readonly HotActor[];
  /** One queue for all: whose turn is next, and the bodies in the same order. */
  private readonly receivers = new Int32Array(MAILBOX_SLOTS);
  private readonly bodies = new Uint8Array(MAILBOX_SLOTS * BODY_BYTES);
  private head = 0;
  private tail = 0;
  private running: HotActor | undefined;
  frame: Uint8Array;
  private words: DataView;
  position = 0;

  constructor(frame: Uint8Array) {
    this.frame = frame;
    this.words = new DataView(frame.buffer);
    const limits = { memoryPagesMax: 16, tableElementsMax: 1000, callDepthMax: 1000 };
    const original = readFileSync(join(import.meta.dirname, "agent.wasm"));
    const { bytes } = rewriteModule(original, limits);
    const module = new WebAssembly.Module(Uint8Array.from(bytes));
    const send = (to: number, at: number, length: number): void => {
      this.send((to >>> 0) % ACTORS, this.running!.memory, at, length);
    };
    const imports = { caxton: { send } } as unknown as WebAssembly.Imports;
    this.actors = Array.from({ length: ACTORS }, () => {
      const { exports } = new WebAssembly.Instance(module, imports);
      const alloc = exports["caxton_alloc"] as (bytes: number) => number;
      const begin = exports[HOST_EXPORT.begin] as HotActor["begin"];
      begin(FUEL);
      return {
        begin,
        handle: exports["caxton_handle"] as HotActor["handle"],
        memory: new Uint8Array((exports[HOST_EXPORT.memory] as WebAssembly.Memory).buffer),
        body: alloc(BODY_BYTES),
      };
    });
    for (let i = 0; i < IN_FLIGHT; i++) {
      const body = Uint8Array.from({ length: BODY_BYTES }, (_, at) => at * 7 + i);
      this.enqueue(i % ACTORS, body, 0, BODY_BYTES);
    }
  }

  fill(frame: Uint8Array): void {
    this.frame = frame;
    this.words = new DataView(frame.buffer);
    this.position = 0;
  }

  get isFull(): boolean {
    return this.position + TURN_BYTES > FRAME_BYTES;
  }

  run(turns: number): void {
    for (let turn = 0; turn < turns && !this.isFull; turn++) {
      const slot = this.head++ & (MAILBOX_SLOTS - 1);
      const receiver = this.receivers[slot]!;
      const actor = this.actors[receiver]!;
      const at = slot * BODY_BYTES;
      actor.memory.set(this.bodies.subarray(at, at + BODY_BYTES), actor.body);
      this.words.setUint32(this.position, receiver, true);
      this.words.setFloat64(this.position + 4, this.handled, true);
      this.position += TURN_HEADER_BYTES;
      this.running = actor;
      actor.begin(FUEL);
      actor.handle(actor.body, BODY_BYTES);
      this.handled++;
    }
  }

  private send(to: number, memory: Uint8Array, at: number, length: number): void {
    this.words.setUint32(this.position, to, true);
    this.frame.set(memory.subarray(at, at + length), this.position + EFFECT_HEADER_BYTES);
    this.position += EFFECT_HEADER_BYTES + length;
    this.enqueue(to, memory, at, length);
  }

  private enqueue(to: number, memory: Uint8Array, at: number, length: number): void {
    const slot = this.tail++ & (MAILBOX_SLOTS - 1);
    this.receivers[slot] = to;
    this.bodies.set(memory.subarray(at, at + length), slot * BODY_BYTES);
  }
}

/** Hands frames to the log thread and waits when both others are on their way. */
class FrameLog {
  private readonly control = new Int32Array(new SharedArrayBuffer(16));
  private readonly lengths = new Int32Array(new SharedArrayBuffer(4 * FRAMES));
  private readonly frames = Array.from(
    { length: FRAMES },
    () => new Uint8Array(new SharedArrayBuffer(FRAME_BYTES)),
  );
  private filled = 0;

  constructor(path: string) {
    const { control, lengths, frames } = this;
    const workerData: LogThreadStart = { control, lengths, frames, path };
    new Worker(new URL("./log-thread.ts", import.meta.url), { workerData });
  }

  get current(): Uint8Array {
    return this.frames[this.filled % FRAMES]!;
  }

  /** Seals the current frame; returns when the next one is free. */
  seal(bytes: number): void {
    this.lengths[this.filled % FRAMES] = bytes;
    crc32(this.current.subarray(0, bytes));
    this.filled++;
    Atomics.store(this.control, FILLED, this.filled);
    Atomics.notify(this.control, FILLED);
    this.waitFor(this.filled - FRAMES + 1);
  }

  /** Waits until all frames are durable and ends the thread. */
  close(): void {
    this.waitFor(this.filled);
    Atomics.store(this.control, STOP, 1);
    Atomics.notify(this.control, FILLED);
  }

  private waitFor(frames: number): void {
    for (;;) {
      const committed = Atomics.load(this.control, COMMITTED);
      if (committed >= frames) return;
      Atomics.wait(this.control, COMMITTED, committed);
    }
  }
}

const [durability, seconds, path] = process.argv.slice(2);
const log = durability === "durable" ? new FrameLog(path!) : undefined;
const loop = new HotLoop(log?.current ?? new Uint8Array(FRAME_BYTES));

function runFor(durationMs: number): void {
  const end = performance.now() + durationMs;
  while (performance.now() < end) {
    loop.run(TURNS_BETWEEN_LOOKS);
    if (!loop.isFull) continue;
    log?.seal(loop.position);
    loop.fill(log?.current ?? loop.frame);
  }
}

runFor(WARM_UP_MS);
const before = { handled: loop.handled, ms: performance.now(), cpu: process.cpuUsage() };
runFor(Number(seconds) * 1000);
log?.seal(loop.position);
log?.close();
const elapsedMs = performance.now() - before.ms;
const cpu = process.cpuUsage(before.cpu);
const messages = loop.handled - before.handled;
const figures = {
  messages_per_second: messages / (elapsedMs / 1000),
  cpu_us_per_message: (cpu.user + cpu.system) / messages,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
