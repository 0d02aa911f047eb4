/**
 * What the host calls of `quickjs-wasi`: the C interface it is built with. A value is the address of a box on the
 * guest's heap that the one who got it frees.
 */
type Address = number;

export interface QuickJsExports {
  readonly wasm_malloc: (bytes: number) => Address;
  readonly wasm_free: (at: Address) => void;
  readonly qjs_init: () => number;
  readonly qjs_set_max_stack_size: (bytes: number) => void;
  readonly qjs_set_promise_rejection_handler: (on: number) => void;
  readonly qjs_compile: (
    code: Address,
    codeBytes: number,
    fileName: Address,
    evalFlags: number,
    compileFlags: number,
    bytesOut: Address,
  ) => Address;
  readonly qjs_eval_bytecode: (bytecode: Address, bytes: number) => Address;
  readonly qjs_call: (callee: Address, self: Address, count: number, args: Address) => Address;
  readonly qjs_is_job_pending: () => number;
  readonly qjs_execute_pending_job: () => number;
  readonly qjs_is_exception: (value: Address) => number;
  readonly qjs_is_undefined: (value: Address) => number;
  readonly qjs_get_exception: () => Address;
  readonly qjs_dup_value: (value: Address) => Address;
  readonly qjs_free_value: (value: Address) => void;
  /** The object a value is, whatever box it came in. */
  readonly qjs_get_value_ptr: (value: Address) => number;
  readonly qjs_get_undefined: () => Address;
  readonly qjs_get_global: () => Address;
  readonly qjs_get_prop_string: (object: Address, name: Address) => Address;
  readonly qjs_set_prop_string: (object: Address, name: Address, value: Address) => void;
  readonly qjs_new_object: () => Address;
  readonly qjs_new_host_function: (name: Address, nameBytes: number, flags: number) => Address;
  readonly qjs_new_number: (value: number) => Address;
  readonly qjs_get_float64: (value: Address) => number;
  readonly qjs_get_bool: (value: Address) => number;
  readonly qjs_new_string: (utf8: Address, bytes: number) => Address;
  /** UTF-8 that the caller frees; 0 when the value has no string. */
  readonly qjs_get_string_len: (value: Address, bytesOut: Address) => Address;
  readonly qjs_free_cstring: (utf8: Address) => void;
  readonly qjs_new_uint8_array: (at: Address, bytes: number) => Address;
  readonly qjs_get_context_ptr: () => Address;
  /** Where the bytes of a Uint8Array lie, given as the 64 bits of its box. */
  readonly JS_GetUint8Array: (context: Address, bytesOut: Address, value: bigint) => Address;
  readonly JS_SetContextOpaque: (context: Address, opaque: Address) => void;
  readonly JS_GetContextOpaque: (context: Address) => Address;
}

const NAMES: Readonly<Record<keyof QuickJsExports, true>> = {
  wasm_malloc: true,
  wasm_free: true,
  qjs_init: true,
  qjs_set_max_stack_size: true,
  qjs_set_promise_rejection_handler: true,
  qjs_compile: true,
  qjs_eval_bytecode: true,
  qjs_call: true,
  qjs_is_job_pending: true,
  qjs_execute_pending_job: true,
  qjs_is_exception: true,
  qjs_is_undefined: true,
  qjs_get_exception: true,
  qjs_dup_value: true,
  qjs_free_value: true,
  qjs_get_value_ptr: true,
  qjs_get_undefined: true,
  qjs_get_global: true,
  qjs_get_prop_string: true,
  qjs_set_prop_string: true,
  qjs_new_object: true,
  qjs_new_host_function: true,
  qjs_new_number: true,
  qjs_get_float64: true,
  qjs_get_bool: true,
  qjs_new_string: true,
  qjs_get_string_len: true,
  qjs_free_cstring: true,
  qjs_new_uint8_array: true,
  qjs_get_context_ptr: true,
  JS_GetUint8Array: true,
  JS_SetContextOpaque: true,
  JS_GetContextOpaque: true,
};

export const QUICKJS_EXPORT_NAMES: readonly string[] = Object.keys(NAMES);

export const STRIP_SOURCE = 16;
