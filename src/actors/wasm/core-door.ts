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

  constructor(exports: WebAssembly.Exports, memory: GuestMemory) {
    this.memory = memory;
    this.alloc = exports["caxton_alloc"] as (bytes: number) => number;
    this.handle = exports["caxton_handle"] as (ptr: number, bytes: number) => number;
  }

  deliver(bytes: Buffer, offset: number, length: number): number {
    const { memory } = this;
    const ptr = this.alloc(length) >>> 0;
    if (memory.bytes.length === 0) memory.refresh();
    if (ptr + length > memory.bytes.length) {
      throw new HostTrap("HOST_CALL_INVALID", "caxton_alloc returned a place outside memory");
    }
    bytes.copy(memory.bytes, ptr, offset, offset + length);
    return this.handle(ptr, length);
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
