/**
 * The part of WASI preview 1 that a libc needs to start and print, deterministic: no files, no sockets, no
 * arguments, the turn's clock and seed. https://github.com/WebAssembly/WASI (preview 1, witx)
 */
import { HostTrap } from "./turn-context.ts";
import type { TurnContext } from "./turn-context.ts";

const SUCCESS = 0;
const BADF = 8;
const NOSYS = 52;
const SPIPE = 70;

const FILETYPE_CHARACTER_DEVICE = 2;

type HostFunction = (...args: never[]) => unknown;

/** Functions for the given import names; what has no meaning here answers ENOSYS. */
export function wasiImports(
  turn: TurnContext,
  names: readonly string[],
): Record<string, HostFunction> {
  const u32 = (at: number, value: number): void => {
    const start = turn.range(at, 4, "wasi");
    turn.memory.bytes.writeUInt32LE(value, start);
  };
  const u64 = (at: number, value: bigint): void => {
    const start = turn.range(at, 8, "wasi");
    turn.memory.bytes.writeBigUInt64LE(value, start);
  };
  const write = (fd: number, vectors: number, count: number, written: number): number => {
    if (fd !== 1 && fd !== 2) return BADF;
    let total = 0;
    for (let i = 0; i < count >>> 0; i++) {
      const at = turn.range(vectors + 8 * i, 8, "fd_write");
      const ptr = turn.memory.bytes.readUInt32LE(at);
      const length = turn.memory.bytes.readUInt32LE(at + 4);
      turn.log(fd === 1 ? 1 : 3, ptr, length);
      total += length;
    }
    u32(written, total);
    return SUCCESS;
  };
  const sizes = (count: number, bytes: number): number => {
    u32(count, 0);
    u32(bytes, 0);
    return SUCCESS;
  };
  const known: Record<string, HostFunction> = {
    fd_write: write,
    clock_time_get: (_id: number, _precision: bigint, at: number) => {
      // Go takes a clock at zero for a broken one, and that is what `now` answers at initialisation.
      u64(at, turn.nowMs === 0 ? 1n : BigInt(Math.trunc(turn.nowMs)) * 1_000_000n);
      return SUCCESS;
    },
    clock_res_get: (_id: number, at: number) => {
      u64(at, 1_000_000n);
      return SUCCESS;
    },
    random_get: (ptr: number, length: number) => {
      const start = turn.range(ptr, length, "random_get");
      for (let i = start; i < start + (length >>> 0); i++) {
        turn.memory.bytes[i] = turn.random.nextUint32() >>> 24;
      }
      return SUCCESS;
    },
    args_sizes_get: sizes,
    environ_sizes_get: sizes,
    args_get: () => SUCCESS,
    environ_get: () => SUCCESS,
    sched_yield: () => SUCCESS,
    fd_close: () => SUCCESS,
    fd_seek: () => SPIPE,
    fd_prestat_get: () => BADF,
    fd_fdstat_get: (fd: number, at: number) => {
      if (fd > 2) return BADF;
      const start = turn.range(at, 24, "fd_fdstat_get");
      turn.memory.bytes.fill(0, start, start + 24);
      turn.memory.bytes[start] = FILETYPE_CHARACTER_DEVICE;
      return SUCCESS;
    },
    proc_exit: (code: number) => {
      throw new HostTrap("AGENT_FAILED", `proc_exit(${String(code)})`);
    },
  };
  return Object.fromEntries(names.map((name) => [name, known[name] ?? (() => NOSYS)]));
}
