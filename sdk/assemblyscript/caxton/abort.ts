import * as host from "./host";

/** Longer reasons are cut. */
const REASON_UNITS_MAX: i32 = 1000;
const FILE_UNITS_MAX: i32 = 300;
const BYTES_MAX: i32 = 4096;

/**
 * Stands in for the global `abort`: a throw and a failed assertion fail the turn with their text and
 * place. It may be called because memory is full, so it allocates nothing.
 */
export function abort(reason: string | null, file: string | null, line: u32, column: u32): void {
  const text = memory.data(BYTES_MAX);
  let end = writeText(text, reason === null ? "aborted" : reason, REASON_UNITS_MAX);
  if (file !== null) {
    end = writeText(end, " (", 2);
    end = writeText(end, file, FILE_UNITS_MAX);
    end = writeNumber(writeText(end, ":", 1), line);
    end = writeNumber(writeText(end, ":", 1), column);
    end = writeText(end, ")", 1);
  }
  host.fail(text, i32(end - text));
  unreachable();
}

function writeText(at: usize, text: string, unitsMax: i32): usize {
  const units = min(text.length, unitsMax);
  return at + String.UTF8.encodeUnsafe(changetype<usize>(text), units, at);
}

function writeNumber(at: usize, value: u32): usize {
  const end = value < 10 ? at : writeNumber(at, value / 10);
  store<u8>(end, u8(0x30 + (value % 10)));
  return end + 1;
}
