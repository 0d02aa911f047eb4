/**
 * A QuickJS instance with an agent's program in it.
 *
 * Owns the boxes of promises that were rejected in the running turn and have no handler yet.
 * 1. Whatever must outlast a turn lies in the guest's memory, and is found there without allocating: an
 *    instance that came from an image goes on exactly like the one the image was taken of.
 * 2. Boxes the host was given are freed in the turn they came in; a failed turn's memory is thrown away.
 */
import { invariant } from "../../../base/assert.ts";
import type { GuestDoor } from "../guest-door.ts";
import { HostTrap } from "../turn-context.ts";
import type { GuestMemory } from "../turn-context.ts";
import { describeFailure } from "./failure.ts";
import { HOST_FUNCTION_NAMES, HOST_OBJECT, nameOf } from "./host-function-names.ts";
import { STRIP_SOURCE } from "./quickjs-exports.ts";
import type { QuickJsExports } from "./quickjs-exports.ts";

/** The program's place in stack traces. */
export const PROGRAM_FILE = "agent.js";

/**
 * Of the megabyte of stack the module has. Programs that nest too deep get a RangeError of their own before
 * the rewriter's call depth ends them, at the depth that is the default for TypeScript.
 */
const STACK_BYTES = 640 * 1024;

/** The host's notes in the guest's memory, behind the context's opaque pointer. */
const AT_DELIVER = 0;
const AT_SETTLE = 4;
const AT_EXPORT_STATE = 8;
const AT_IMPORT_STATE = 12;
const AT_UNDEFINED = 16;
const AT_ARGUMENT = 20;
const AT_LENGTH = 24;
const NOTES_BYTES = 28;

const NEVER_SETTLES = 2;

export class QuickJsGuest implements GuestDoor {
  readonly calls: QuickJsExports;
  private readonly memory: GuestMemory;
  private readonly rejected = new Map<
    number,
    { readonly promise: number; readonly reason: number }
  >();

  constructor(exports: WebAssembly.Exports, memory: GuestMemory) {
    this.calls = exports as unknown as QuickJsExports;
    this.memory = memory;
  }

  deliver(bytes: Buffer, offset: number, length: number): number {
    this.rejected.clear();
    const message = this.bytesValue(bytes.subarray(offset, offset + length));
    this.calls.qjs_free_value(this.run(AT_DELIVER, message));
    const settled = this.call(AT_SETTLE);
    const result = this.numberOf(settled);
    this.calls.qjs_free_value(settled);
    if (result === NEVER_SETTLES) {
      throw new HostTrap(
        "HANDLER_NEVER_SETTLES",
        "the handler awaits something that no reply and no timer can settle",
      );
    }
    return result;
  }

  exportState(): Buffer | undefined {
    const value = this.run(AT_EXPORT_STATE);
    const isThere = this.calls.qjs_is_undefined(value) === 0;
    const state = isThere ? Buffer.from(this.bytesOf(value)) : undefined;
    this.calls.qjs_free_value(value);
    return state;
  }

  importState(state: Buffer): boolean {
    const value = this.run(AT_IMPORT_STATE, this.bytesValue(state));
    const taken = this.calls.qjs_get_bool(value) !== 0;
    this.calls.qjs_free_value(value);
    return taken;
  }

  /** Calls one of the program's functions and runs the jobs that come of it. Frees the argument. */
  private run(at: number, argument?: number): number {
    const result = this.call(at, argument);
    const { calls } = this;
    while (calls.qjs_is_job_pending() !== 0) {
      if (calls.qjs_execute_pending_job() < 0) this.failWith(calls.qjs_get_exception());
    }
    for (const { reason } of this.rejected.values()) this.failWith(reason, "Unhandled rejection: ");
    return result;
  }

  private call(at: number, argument?: number): number {
    const { calls } = this;
    const notes = this.notes();
    if (argument !== undefined) this.writeU32(notes + AT_ARGUMENT, argument);
    const callee = this.readU32(notes + at);
    const nothing = this.readU32(notes + AT_UNDEFINED);
    const count = argument === undefined ? 0 : 1;
    const result = calls.qjs_call(callee, nothing, count, notes + AT_ARGUMENT);
    if (argument !== undefined) calls.qjs_free_value(argument);
    if (calls.qjs_is_exception(result) !== 0) this.failWith(calls.qjs_get_exception());
    return result;
  }

  /** Turns a program into bytecode; the instance is of no use afterwards. */
  compile(program: Uint8Array): Uint8Array {
    const { calls } = this;
    this.start();
    const code = this.copyIn(program, 1);
    const file = this.copyIn(Buffer.from(PROGRAM_FILE), 1);
    const length = this.notes() + AT_LENGTH;
    const at = calls.qjs_compile(code, program.length, file, 0, STRIP_SOURCE, length);
    if (at === 0) this.failWith(calls.qjs_get_exception());
    return Buffer.from(this.bytes().subarray(at, at + this.readU32(length)));
  }

  /** Runs the program's top level, in an instance that was just initialised. */
  prepare(bytecode: Uint8Array): void {
    const { calls } = this;
    this.start();
    this.rejected.clear();
    this.offerHost();
    const at = this.copyIn(bytecode);
    const result = calls.qjs_eval_bytecode(at, bytecode.length);
    calls.wasm_free(at);
    if (calls.qjs_is_exception(result) !== 0) this.failWith(calls.qjs_get_exception());
    calls.qjs_free_value(result);
    if (this.readU32(this.notes() + AT_DELIVER) === 0) {
      throw new HostTrap("AGENT_FAILED", "the program does not serve");
    }
  }

  private start(): void {
    const { calls } = this;
    invariant(calls.qjs_init() === 0, "QuickJS starts");
    calls.qjs_set_max_stack_size(STACK_BYTES);
    calls.qjs_set_promise_rejection_handler(1);
    const notes = this.allocate(NOTES_BYTES);
    this.bytes().fill(0, notes, notes + NOTES_BYTES);
    calls.JS_SetContextOpaque(calls.qjs_get_context_ptr(), notes);
    this.writeU32(notes + AT_UNDEFINED, calls.qjs_get_undefined());
  }

  private offerHost(): void {
    const { calls } = this;
    const object = calls.qjs_new_object();
    const set = (target: number, key: string, value: number): void => {
      const at = this.copyIn(Buffer.from(key), 1);
      calls.qjs_set_prop_string(target, at, value);
      calls.wasm_free(at);
      calls.qjs_free_value(value);
    };
    for (const [index, name] of HOST_FUNCTION_NAMES.entries()) {
      const at = this.copyIn(nameOf(index));
      set(object, name, calls.qjs_new_host_function(at, 1, 0));
      calls.wasm_free(at);
    }
    const global = calls.qjs_get_global();
    set(global, HOST_OBJECT, object);
    calls.qjs_free_value(global);
  }

  /** The program says what the host may call. */
  serve(functions: readonly number[]): void {
    const notes = this.notes();
    for (const [i, value] of functions.entries()) {
      this.writeU32(notes + AT_DELIVER + 4 * i, this.calls.qjs_dup_value(value));
    }
  }

  /** A promise was rejected without a handler, or got one later. */
  noteRejection(promise: number, reason: number, isHandled: boolean): void {
    const { calls, rejected } = this;
    const key = calls.qjs_get_value_ptr(promise);
    if (!isHandled) {
      rejected.set(key, { promise, reason });
      return;
    }
    const before = rejected.get(key);
    rejected.delete(key);
    for (const box of [promise, reason, before?.promise, before?.reason]) {
      if (box !== undefined) calls.qjs_free_value(box);
    }
  }

  failWith(value: number, prefix = ""): never {
    const property = (name: string): string | undefined => {
      const at = this.copyIn(Buffer.from(name), 1);
      return this.textOf(this.calls.qjs_get_prop_string(value, at));
    };
    const failure = describeFailure(this.textOf(value), property("stack"));
    throw new HostTrap("AGENT_FAILED", prefix + failure);
  }

  private textOf(value: number): string | undefined {
    if (this.calls.qjs_is_undefined(value) !== 0) return undefined;
    const { at, length } = this.utf8Of(value);
    return at === 0 ? undefined : this.bytes().toString("utf8", at, at + length);
  }

  /** A value's text in memory; to be freed with qjs_free_cstring. */
  utf8Of(value: number): { at: number; length: number } {
    const lengthAt = this.notes() + AT_LENGTH;
    const at = this.calls.qjs_get_string_len(value, lengthAt);
    return { at, length: at === 0 ? 0 : this.readU32(lengthAt) };
  }

  numberOf(value: number): number {
    return this.calls.qjs_get_float64(value);
  }

  /** Where the bytes of a Uint8Array lie. */
  rangeOf(value: number): { at: number; length: number } {
    const { calls } = this;
    const lengthAt = this.notes() + AT_LENGTH;
    const bits = this.bytes().readBigInt64LE(value);
    // What only looks like a Uint8Array has no bytes.
    this.writeU32(lengthAt, 0);
    const at = calls.JS_GetUint8Array(calls.qjs_get_context_ptr(), lengthAt, bits);
    return { at, length: this.readU32(lengthAt) };
  }

  private bytesOf(value: number): Buffer {
    const { at, length } = this.rangeOf(value);
    return this.bytes().subarray(at, at + length);
  }

  bytesValue(bytes: Uint8Array): number {
    const at = this.copyIn(bytes);
    const value = this.calls.qjs_new_uint8_array(at, bytes.length);
    this.calls.wasm_free(at);
    return value;
  }

  stringValue(utf8: Uint8Array): number {
    const at = this.copyIn(utf8);
    const value = this.calls.qjs_new_string(at, utf8.length);
    this.calls.wasm_free(at);
    return value;
  }

  /** Copies bytes to a new place that the caller frees, with zeros behind them. */
  private copyIn(bytes: Uint8Array, zeros = 0): number {
    const at = this.allocate(bytes.length + zeros || 1);
    const memory = this.bytes();
    memory.set(bytes, at);
    memory.fill(0, at + bytes.length, at + bytes.length + zeros);
    return at;
  }

  allocate(bytes: number): number {
    const at = this.calls.wasm_malloc(bytes);
    if (at === 0) throw new HostTrap("AGENT_FAILED", "out of memory: see limits.memoryPagesMax");
    return at;
  }

  private notes(): number {
    return this.calls.JS_GetContextOpaque(this.calls.qjs_get_context_ptr());
  }

  bytes(): Buffer {
    const { memory } = this;
    if (memory.bytes.length === 0) memory.refresh();
    return memory.bytes;
  }

  readU32(at: number): number {
    return this.bytes().readUInt32LE(at);
  }

  private writeU32(at: number, value: number): void {
    this.bytes().writeUInt32LE(value, at);
  }
}
