/** What stands between the host and guests of one kind. */
import type { GuestMemory, TurnContext } from "./turn-context.ts";

export interface GuestDoor {
  /** Gives a message to the guest. 0: done. 1: its handler stays open. Anything else: failed. */
  deliver(bytes: Buffer, offset: number, length: number): number;
  /** What another version may go on from; undefined when the guest has no such thing. A view. */
  exportState(): Uint8Array | undefined;
  /** False when the guest does not take it. */
  importState(state: Uint8Array): boolean;
}

export interface DoorKind {
  /** The host as modules of this kind import it; all instances of a worker share it. */
  imports(turn: TurnContext): WebAssembly.Imports;
  /** The door of one instance. */
  open(exports: WebAssembly.Exports, memory: GuestMemory): GuestDoor;
}
