/** W3C trace context: what a caller sends is taken over, else a request gets a trace id of its own. */
import { randomFillSync } from "node:crypto";

const ID_BYTES = 16;
const POOL = Buffer.alloc(ID_BYTES * 256);
let poolAt = POOL.length;

/** 32 hex digits. Random bytes are drawn in bulk because every request takes some. */
export function newTraceId(): string {
  if (poolAt === POOL.length) {
    randomFillSync(POOL);
    poolAt = 0;
  }
  return POOL.toString("hex", poolAt, (poolAt += ID_BYTES));
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

/** The trace id of a `traceparent` header; undefined when it is not well formed. */
export function traceIdOf(traceparent: string): string | undefined {
  const id = TRACEPARENT.exec(traceparent)?.[1];
  return id === undefined || traceparent.startsWith("ff-") || /^0+$/.test(id) ? undefined : id;
}
