/** What stands between the host and guests of one kind. */
import type { GuestMemory, TurnContext } from "./turn-context.ts";

export interface GuestDoor {
  /** Gives a message to the guest. 0: done. 1: its handler stays open. Anything else: failed. */
  deliver(bytes: Buffer, offset: number, length: number): number;
  /** Memory state for another version; undefined when the guest has no hook for it. */
  exportState(): Buffer | undefined;
  /** False when the guest has no hook for it. */
  importState(state: Buffer): boolean;
  /** Of a module that runs programs of a language: what `prepare` takes. Spends the instance. */
  compile?(program: Uint8Array): Uint8Array;
  /** Runs a program's top level in an instance that was just initialised. */
  prepare?(compiled: Uint8Array): void;
  /** What the guest says against being run; asked when it is deployed, before any message. */
  complaint?(): string | undefined;
}

export interface DoorKind {
  /** The host as modules of this kind import it; all instances of a worker share it. */
  imports(turn: TurnContext): WebAssembly.Imports;
  /** What the host calls of a module that the node brings itself; undefined where modules are uploaded. */
  readonly ownExports?: readonly string[];
  /** The door of one instance. */
  open(exports: WebAssembly.Exports, memory: GuestMemory): GuestDoor;
}
