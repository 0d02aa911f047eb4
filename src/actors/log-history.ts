/**
 * Reads the past out of the log, beside the node's work.
 *
 * Owns how many look at the log at once.
 * 1. At most SCANS_MAX do; who comes then is refused.
 * 2. A look ends at the caller's deadline and says that it did.
 */
import type { Clock } from "../base/clock.ts";
import { CaxtonError } from "../base/errors.ts";
import type { Log } from "../storage/index.ts";
import type { ActorOperations, Page, PageRequest } from "./kernel.ts";
import type { HistoryOperations, StateChange, Trace, TraceRoot } from "./history.ts";
import { scanInTimeOrder } from "./log-scan.ts";
import type { ScannedFrame } from "./log-scan.ts";
import { MessageTrace } from "./message-trace.ts";
import type { PartitionAccess } from "./partition-access.ts";
import { StateHistory } from "./state-history.ts";

const SCANS_MAX = 2;
const RETRY_AFTER_MS = 1000;
const FIRST_FRAME = 1;

export class LogHistory implements HistoryOperations {
  private readonly log: Log;
  private readonly partitions: PartitionAccess;
  private readonly actors: ActorOperations;
  private readonly clock: Clock;
  private scans = 0;

  constructor(log: Log, partitions: PartitionAccess, actors: ActorOperations, clock: Clock) {
    this.clock = clock;
    this.log = log;
    this.partitions = partitions;
    this.actors = actors;
  }

  async trace(root: TraceRoot, timeoutMs: number): Promise<Trace> {
    const { ids, count } = this.partitions;
    const endMs = this.clock.monotonicMs() + timeoutMs;
    const look = async (trace: MessageTrace): Promise<boolean> => {
      const complete = await this.look(ids, endMs, (frame) => {
        trace.add(frame);
        return !trace.isFull;
      });
      return complete && !trace.isFull;
    };
    const first = new MessageTrace(root, count);
    const complete = await look(first);
    if (!complete || !first.overtaken) return { events: first.events, complete };
    const second = new MessageTrace(root, count, first);
    return { complete: await look(second), events: second.events };
  }

  async stateChanges(
    address: string,
    prefix: string,
    page: PageRequest,
  ): Promise<Page<StateChange>> {
    const { address: canonical, partition } = await this.actors.get(address);
    const after = parseToken(page.pageToken);
    const found: { change: StateChange; ordinal: number }[] = [];
    let [frame, ordinal] = [0, 0];
    const history = new StateHistory(canonical, prefix, (change) => {
      ordinal = change.frame === frame ? ordinal + 1 : 0;
      frame = change.frame;
      const isAfter = frame > after.frame || (frame === after.frame && ordinal > after.ordinal);
      if (isAfter) found.push({ change, ordinal });
    });
    await this.look([partition], Infinity, (scanned) => {
      history.add(scanned);
      return found.length <= page.pageSize;
    });
    const taken = found.slice(0, page.pageSize);
    const items = taken.map(({ change }) => change);
    const last = taken.at(-1);
    if (last === undefined || found.length <= page.pageSize) return { items };
    return { items, nextPageToken: `${last.change.frame}:${last.ordinal}` };
  }

  /** Shows frames until `more` says no. False when the time was up before the end of the log. */
  private async look(
    partitions: readonly number[],
    endMs: number,
    more: (frame: ScannedFrame) => boolean,
  ): Promise<boolean> {
    if (this.scans >= SCANS_MAX) {
      throw new CaxtonError("OVERLOADED", `${SCANS_MAX} others read the log already.`, {
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    this.scans++;
    try {
      const ranges = partitions.map((partition) => {
        return { partition, from: FIRST_FRAME, to: Infinity };
      });
      for await (const frame of scanInTimeOrder(this.log, ranges)) {
        if (!more(frame)) return true;
        if (this.clock.monotonicMs() > endMs) return false;
      }
      return true;
    } finally {
      this.scans--;
    }
  }
}

/** Frame and, among its changes, place of the last one given out. */
function parseToken(token: string | undefined): { frame: number; ordinal: number } {
  if (token === undefined || token === "") return { frame: 0, ordinal: 0 };
  const match = /^(\d{1,15}):(\d{1,15})$/.exec(token);
  if (match !== null) return { frame: Number(match[1]), ordinal: Number(match[2]) };
  throw new CaxtonError("INVALID_ARGUMENT", "The page token is not one this server gave out.");
}
