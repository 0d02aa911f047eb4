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
  private readonly giveState: (() => bigint) | undefined;
  private readonly takeState: ((ptr: number, bytes: number) => number) | undefined;

  constructor(exports: WebAssembly.Exports, memory: GuestMemory) {
    this.memory = memory;
    this.alloc = exports["caxton_alloc"] as (bytes: number) => number;
    this.handle = exports["caxton_handle"] as (ptr: number, bytes: number) => number;
    this.giveState = exports["caxton_export_state"] as (() => bigint) | undefined;
    this.takeState = exports["caxton_import_state"] as typeof this.takeState;
  }

  deliver(bytes: Buffer, offset: number, length: number): number {
    return this.handle(this.copyIn(bytes, offset, length), length);
  }

  exportState(): Buffer | undefined {
    if (this.giveState === undefined) return undefined;
    const result = BigInt.asUintN(64, this.giveState());
    const [ptr, length] = [Number(result >> 32n), Number(result & 0xffffffffn)];
    const { memory } = this;
    if (memory.bytes.length === 0) memory.refresh();
    if (ptr + length > memory.bytes.length) {
      throw new HostTrap(
        "HOST_CALL_INVALID",
        "caxton_export_state returned a place outside memory",
      );
    }
    return Buffer.from(memory.bytes.subarray(ptr, ptr + length));
  }

  importState(state: Buffer): boolean {
    if (this.takeState === undefined) return false;
    const result = this.takeState(this.copyIn(state, 0, state.length), state.length);
    if (result === 0) return true;
    throw new HostTrap("AGENT_FAILED", `caxton_import_state returned ${String(result)}`);
  }

  private copyIn(bytes: Buffer, offset: number, length: number): number {
    const { memory } = this;
    const ptr = this.alloc(length) >>> 0;
    if (memory.bytes.length === 0) memory.refresh();
    if (ptr + length > memory.bytes.length) {
      throw new HostTrap("HOST_CALL_INVALID", "caxton_alloc returned a place outside memory");
    }
    bytes.copy(memory.bytes, ptr, offset, offset + length);
    return ptr;
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
