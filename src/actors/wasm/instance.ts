/** One live WebAssembly instance of an actor: its rewritten module's exports and its memory. */
import { invariant } from "../../base/assert.ts";
import type { LiveMemory } from "../partition/actor.ts";
import { DOORS } from "./doors.ts";
import type { Door } from "./doors.ts";
import type { GuestDoor } from "./guest-door.ts";
import type { GuestMemory } from "./turn-context.ts";
import { decodeMemory, encodeMemory } from "./memory-snapshot.ts";
import { HOST_EXPORT } from "./rewrite/host-exports.ts";

/** A compiled rewritten module and what instances of it need. */
export interface LoadedModule {
  readonly module: WebAssembly.Module;
  readonly door: Door;
  readonly globals: readonly string[];
  readonly replayOnly: boolean;
}

/** Memory and mutable globals of an instance between two turns. */
export interface MemoryImage {
  readonly pages: Buffer;
  readonly globals: readonly unknown[];
}

const PAGE_BYTES = 65536;
const NO_TEMPLATE = Buffer.alloc(0);

export class WasmInstance implements LiveMemory, GuestMemory {
  bytes: Buffer;
  /** Memory before the newest turn of an actor that failed lately. */
  undo: MemoryImage | undefined;
  /** Place in the list of residents, -1 outside of it. */
  place = -1;
  /** Since the list was last searched. */
  isUsed = true;
  private readonly memory: WebAssembly.Memory;
  private readonly exports: WebAssembly.Exports;
  private readonly door: GuestDoor;
  readonly begin: (fuel: bigint) => void;
  readonly fuelLeft: () => number;
  readonly depth: () => number;

  constructor(loaded: LoadedModule, imports: WebAssembly.Imports) {
    this.exports = new WebAssembly.Instance(loaded.module, imports).exports;
    this.memory = this.exports[HOST_EXPORT.memory] as WebAssembly.Memory;
    this.begin = this.exports[HOST_EXPORT.begin] as (fuel: bigint) => void;
    this.fuelLeft = this.exports[HOST_EXPORT.fuel] as () => number;
    this.depth = this.exports[HOST_EXPORT.depth] as () => number;
    this.bytes = Buffer.from(this.memory.buffer);
    this.door = DOORS[loaded.door].open(this.exports, this);
  }

  get memoryBytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** Growing detaches the old buffer: its length becomes 0. */
  refresh(): void {
    this.bytes = Buffer.from(this.memory.buffer);
  }

  /** Runs the start function and `_initialize`; for a fresh instance that gets no image. */
  initialize(fuel: bigint): void {
    (this.exports[HOST_EXPORT.initialize] as (fuel: bigint) => void)(fuel);
  }

  /** Gives a message to the guest; see GuestDoor. */
  deliver(bytes: Buffer, offset: number, length: number): number {
    return this.door.deliver(bytes, offset, length);
  }

  image(loaded: LoadedModule): MemoryImage {
    return {
      pages: Buffer.from(new Uint8Array(this.memory.buffer).slice().buffer),
      globals: loaded.globals.map((name) => this.global(name).value),
    };
  }

  /** Puts an image into this instance, which must be fresh. */
  restore(loaded: LoadedModule, image: MemoryImage): void {
    const missing = image.pages.length - this.memoryBytes;
    invariant(missing >= 0, "a fresh instance is not larger than an image of one");
    if (missing > 0) this.memory.grow(missing / PAGE_BYTES);
    this.refresh();
    this.bytes.set(image.pages);
    loaded.globals.forEach((name, i) => {
      this.global(name).value = image.globals[i];
    });
  }

  /** What differs from the template. */
  snapshot(loaded: LoadedModule): Buffer {
    if (this.bytes.length === 0) this.refresh();
    const globals = loaded.globals.map((name) => this.global(name).value);
    return encodeMemory(this.bytes, globals, NO_TEMPLATE);
  }

  /** Puts a snapshot into this instance, which must be fresh. */
  restoreSnapshot(loaded: LoadedModule, snapshot: Buffer): void {
    const { memoryBytes, globals, pages } = decodeMemory(snapshot);
    const missing = memoryBytes - this.memoryBytes;
    invariant(missing >= 0, "a fresh instance is not larger than an image of one");
    if (missing > 0) this.memory.grow(missing / PAGE_BYTES);
    this.refresh();
    this.bytes.fill(0);
    for (const { at, bytes } of pages) this.bytes.set(bytes, at);
    loaded.globals.forEach((name, i) => {
      this.global(name).value = globals[i];
    });
  }

  private global(name: string): WebAssembly.Global {
    return this.exports[name] as WebAssembly.Global;
  }
}
