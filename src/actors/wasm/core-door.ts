/** The door of modules for the core ABI: docs/agent-abi.md. */
import { WASI_IMPORT_NAMES } from "./abi-imports.ts";
import type { DoorKind, GuestDoor } from "./guest-door.ts";
import { abortImport, caxtonImports } from "./host-calls.ts";
import { HostTrap } from "./turn-context.ts";
import type { GuestMemory } from "./turn-context.ts";
import { wasiImports } from "./wasi.ts";

class CoreGuest implements GuestDoor {
  private readonly memory: GuestMemory;
  private readonly alloc: (bytes: number) => number;
  private readonly handle: (ptr: number, bytes: number) => number;
  private readonly export: (() => bigint) | undefined;
  private readonly import: ((ptr: number, bytes: number) => number) | undefined;

  constructor(exports: WebAssembly.Exports, memory: GuestMemory) {
    this.memory = memory;
    this.alloc = exports["caxton_alloc"] as (bytes: number) => number;
    this.handle = exports["caxton_handle"] as (ptr: number, bytes: number) => number;
    this.export = exports["caxton_export_state"] as typeof this.export;
    this.import = exports["caxton_import_state"] as typeof this.import;
  }

  deliver(bytes: Buffer, offset: number, length: number): number {
    const ptr = this.place(length);
    bytes.copy(this.memory.bytes, ptr, offset, offset + length);
    return this.handle(ptr, length);
  }

  /** Where the guest wants the next bytes. */
  private place(length: number): number {
    const { memory } = this;
    const ptr = this.alloc(length) >>> 0;
    if (memory.bytes.length === 0) memory.refresh();
    if (ptr + length > memory.bytes.length) {
      throw new HostTrap("HOST_CALL_INVALID", "caxton_alloc returned a place outside memory");
    }
    return ptr;
  }

  exportState(): Uint8Array | undefined {
    const place = this.export?.();
    if (place === undefined) return undefined;
    const [ptr, length] = [Number(BigInt.asUintN(64, place) >> 32n), Number(place & 0xffffffffn)];
    const { memory } = this;
    if (memory.bytes.length === 0) memory.refresh();
    if (ptr + length > memory.bytes.length) {
      throw new HostTrap(
        "HOST_CALL_INVALID",
        "caxton_export_state returned a place outside memory",
      );
    }
    return memory.bytes.subarray(ptr, ptr + length);
  }

  importState(state: Uint8Array): boolean {
    if (this.import === undefined) return false;
    const ptr = this.place(state.length);
    this.memory.bytes.set(state, ptr);
    return this.import(ptr, state.length) === 0;
  }
}

export const coreDoor: DoorKind = {
  imports: (turn) => ({
    caxton: caxtonImports(turn),
    wasi_snapshot_preview1: wasiImports(turn, WASI_IMPORT_NAMES),
    env: { abort: abortImport(turn) },
  }),
  open: (exports, memory) => new CoreGuest(exports, memory),
};
