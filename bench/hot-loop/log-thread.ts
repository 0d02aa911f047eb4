/** The thread that makes frames durable, one write and one fdatasync each, in a preallocated file. */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { COMMITTED, FILLED, FRAMES, LOG_BYTES, type LogThreadStart, STOP } from "./protocol.ts";

const { control, frames, lengths, path } = workerData as LogThreadStart;
const fd = openSync(path, "r+");
let position = 0;
for (let frame = 0; ; frame++) {
  while (Atomics.load(control, FILLED) === frame) {
    if (Atomics.load(control, STOP) === 1) {
      closeSync(fd);
      process.exit();
    }
    Atomics.wait(control, FILLED, frame);
  }
  const bytes = frames[frame % FRAMES]!.subarray(0, lengths[frame % FRAMES]);
  if (position + bytes.length > LOG_BYTES) position = 0;
  writeSync(fd, bytes, 0, bytes.length, position);
  fdatasyncSync(fd);
  position += bytes.length;
  Atomics.add(control, COMMITTED, 1);
  Atomics.notify(control, COMMITTED);
}
