/** One live WebAssembly instance of an actor: its rewritten module's exports and its memory. */
import { invariant } from "../../base/assert.ts";
import type { LiveMemory } from "../partition/actor.ts";
import { DOORS } from "./doors.ts";
import type { GuestDoor } from "./guest-door.ts";
import type { LoadedModule } from "./loaded-module.ts";
import { copyChanges, writeDelta } from "./memory-delta.ts";
import type { DeltaEncoder, GlobalValue, MemoryDelta, MemoryImage } from "./memory-delta.ts";
import type { GuestMemory } from "./turn-context.ts";
import { HOST_EXPORT, globalSetter } from "./rewrite/host-exports.ts";

const PAGE_BYTES = 65536;

export class WasmInstance implements LiveMemory, GuestMemory {
  bytes: Buffer;
  /** Memory before the newest turn of an actor that failed lately. */
  undo: MemoryImage | undefined;
  /** Place in the list of residents, -1 outside of it. */
  place = -1;
  /** Since the list was last searched. */
  isUsed = true;
  readonly exports: WebAssembly.Exports;
  private readonly globals: readonly string[];
  private readonly memory: WebAssembly.Memory;
  readonly door: GuestDoor;
  readonly begin: (fuel: bigint) => void;
  readonly fuelLeft: () => number;
  readonly depth: () => number;

  constructor(
    loaded: Pick<LoadedModule, "module" | "door" | "globals">,
    imports: WebAssembly.Imports,
  ) {
    this.globals = loaded.globals;
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

  image(): MemoryImage {
    return {
      pages: Buffer.from(new Uint8Array(this.memory.buffer).slice().buffer),
      globals: this.globalValues(),
    };
  }

  globalValues(): GlobalValue[] {
    return this.globals.map((name) => {
      const global = this.exports[name] as WebAssembly.Global | (() => GlobalValue);
      return typeof global === "function" ? global() : (global.value as GlobalValue);
    });
  }

  /** Puts an image into this instance, which must be fresh. */
  restore(image: MemoryImage): void {
    this.growTo(image.pages.length);
    this.bytes.set(image.pages);
    this.setGlobals(image.globals);
  }

  /** What leads from the base to the present memory, see DeltaEncoder. */
  encodeChanges(encoder: DeltaEncoder, base: MemoryImage, baseSha256: string): Uint8Array {
    this.refresh();
    return encoder.encode(base.pages, this.bytes, this.globalValues(), baseSha256);
  }

  /** Makes this instance, whose memory is as the delta's base, what the delta leads to. */
  advance(delta: MemoryDelta): void {
    this.growTo(delta.memoryBytes);
    writeDelta(delta, this.bytes);
    this.setGlobals(delta.globals);
  }

  /** Makes it as the image says, whatever it was before. False when its memory has another size. */
  resetTo(image: MemoryImage): boolean {
    this.refresh();
    if (this.bytes.length !== image.pages.length) return false;
    copyChanges(image.pages, this.bytes);
    this.setGlobals(image.globals);
    this.undo = undefined;
    this.isUsed = true;
    return true;
  }

  private growTo(bytes: number): void {
    const missing = bytes - this.memoryBytes;
    invariant(missing >= 0, "a fresh instance is not larger than an image of one");
    if (missing > 0) this.memory.grow(missing / PAGE_BYTES);
    this.refresh();
  }

  private setGlobals(values: readonly GlobalValue[]): void {
    this.globals.forEach((name, i) => {
      const global = this.exports[name] as WebAssembly.Global | (() => GlobalValue);
      if (typeof global === "function") {
        (this.exports[globalSetter(name)] as (bits: GlobalValue) => void)(values[i]!);
      } else {
        global.value = values[i];
      }
    });
  }
}
