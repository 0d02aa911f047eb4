/** Every function a module may import, as docs/agent-abi.md lists them. */
import type { FunctionType, ValueType } from "./rewrite/module-model.ts";

export type ImportTable = Readonly<Record<string, FunctionType>>;

const i32s = (count: number): ValueType[] => Array.from({ length: count }, () => "i32");

const type = (params: readonly ValueType[], result?: ValueType): FunctionType => ({
  params,
  results: result === undefined ? [] : [result],
});

export const CAXTON_IMPORTS = {
  send: type(i32s(2)),
  ask: type(i32s(3), "i64"),
  reply: type(i32s(2)),
  fail: type(i32s(2)),
  state_get: type(i32s(4), "i32"),
  state_put: type(i32s(4)),
  state_delete: type(i32s(2)),
  state_list: type(i32s(4), "i32"),
  emit: type(i32s(4)),
  timer_set: type(["i64", "i32", "i32", "i32"]),
  timer_cancel: type(["i64"]),
  log: type(i32s(3)),
  now: type([], "f64"),
  random: type([], "f64"),
  config_get: type(i32s(4), "i32"),
  flag_get: type(i32s(2), "i32"),
  self: type(i32s(2), "i32"),
} as const satisfies ImportTable;

export const WASI_IMPORTS = {
  args_get: type(i32s(2), "i32"),
  args_sizes_get: type(i32s(2), "i32"),
  environ_get: type(i32s(2), "i32"),
  environ_sizes_get: type(i32s(2), "i32"),
  clock_res_get: type(i32s(2), "i32"),
  clock_time_get: type(["i32", "i64", "i32"], "i32"),
  fd_advise: type(["i32", "i64", "i64", "i32"], "i32"),
  fd_allocate: type(["i32", "i64", "i64"], "i32"),
  fd_close: type(i32s(1), "i32"),
  fd_datasync: type(i32s(1), "i32"),
  fd_fdstat_get: type(i32s(2), "i32"),
  fd_fdstat_set_flags: type(i32s(2), "i32"),
  fd_fdstat_set_rights: type(["i32", "i64", "i64"], "i32"),
  fd_filestat_get: type(i32s(2), "i32"),
  fd_filestat_set_size: type(["i32", "i64"], "i32"),
  fd_filestat_set_times: type(["i32", "i64", "i64", "i32"], "i32"),
  fd_pread: type(["i32", "i32", "i32", "i64", "i32"], "i32"),
  fd_prestat_get: type(i32s(2), "i32"),
  fd_prestat_dir_name: type(i32s(3), "i32"),
  fd_pwrite: type(["i32", "i32", "i32", "i64", "i32"], "i32"),
  fd_read: type(i32s(4), "i32"),
  fd_readdir: type(["i32", "i32", "i32", "i64", "i32"], "i32"),
  fd_renumber: type(i32s(2), "i32"),
  fd_seek: type(["i32", "i64", "i32", "i32"], "i32"),
  fd_sync: type(i32s(1), "i32"),
  fd_tell: type(i32s(2), "i32"),
  fd_write: type(i32s(4), "i32"),
  path_create_directory: type(i32s(3), "i32"),
  path_filestat_get: type(i32s(5), "i32"),
  path_filestat_set_times: type(["i32", "i32", "i32", "i32", "i64", "i64", "i32"], "i32"),
  path_link: type(i32s(7), "i32"),
  path_open: type(["i32", "i32", "i32", "i32", "i32", "i64", "i64", "i32", "i32"], "i32"),
  path_readlink: type(i32s(6), "i32"),
  path_remove_directory: type(i32s(3), "i32"),
  path_rename: type(i32s(6), "i32"),
  path_symlink: type(i32s(5), "i32"),
  path_unlink_file: type(i32s(3), "i32"),
  poll_oneoff: type(i32s(4), "i32"),
  proc_exit: type(i32s(1)),
  proc_raise: type(i32s(1), "i32"),
  random_get: type(i32s(2), "i32"),
  sched_yield: type([], "i32"),
  sock_accept: type(i32s(3), "i32"),
  sock_recv: type(i32s(6), "i32"),
  sock_send: type(i32s(5), "i32"),
  sock_shutdown: type(i32s(2), "i32"),
} as const satisfies ImportTable;

/** What AssemblyScript calls when an assertion fails: message, file, line, column. */
const ENV_IMPORTS = { abort: type(i32s(4)) } as const satisfies ImportTable;

/** By the name of the imported module. */
export const ABI_IMPORTS: Readonly<Record<string, ImportTable>> = {
  caxton: CAXTON_IMPORTS,
  wasi_snapshot_preview1: WASI_IMPORTS,
  env: ENV_IMPORTS,
};

/** The WASI functions a module may import, in the order of the table above. */
export const WASI_IMPORT_NAMES: readonly string[] = Object.keys(WASI_IMPORTS);
