/** Reads and changes of partitions from the main thread, answered by their workers when durable. */
import { CaxtonError } from "../base/errors.ts";
import { hashAddressText, partitionOf } from "./address.ts";
import type { Page, PageRequest } from "./kernel.ts";
import type { Control } from "./partition/control.ts";
import type { Query } from "./queries.ts";
import type { WorkerPool } from "./worker-pool.ts";

const NO_PAGE_TOKEN = "";

export interface PartitionAccessPorts {
  /** Why the node can't go on. */
  failure(): CaxtonError | undefined;
  /** Why nothing can be read now: an answer would hang on a frame that waits. */
  stuck(): CaxtonError | undefined;
  /** Why nothing is accepted now. */
  full(): CaxtonError | undefined;
}

export class PartitionAccess {
  readonly count: number;
  private readonly pool: WorkerPool;
  private readonly ports: PartitionAccessPorts;

  constructor(pool: WorkerPool, count: number, ports: PartitionAccessPorts) {
    this.pool = pool;
    this.count = count;
    this.ports = ports;
  }

  get ids(): number[] {
    return Array.from({ length: this.count }, (_, partition) => partition);
  }

  of(address: string): number {
    return partitionOf(hashAddressText(address), this.count);
  }

  /** Why nothing can be changed now. */
  get refusal(): CaxtonError | undefined {
    return this.ports.failure() ?? this.ports.full();
  }

  query<T>(query: Query): Promise<T> {
    const refusal = this.ports.failure() ?? this.ports.stuck();
    if (refusal !== undefined) return Promise.reject(refusal);
    const { partition } = query;
    return this.pool.request<T>(partition, (requestId) => ({ kind: "query", requestId, query }));
  }

  queryAll<T>(kind: "agents" | "status"): Promise<T[]> {
    return Promise.all(this.ids.map((partition) => this.query<T>({ kind, partition })));
  }

  control(partition: number, control: Control): Promise<void> {
    const { refusal } = this;
    if (refusal !== undefined) return Promise.reject(refusal);
    return this.pool.request(partition, (requestId) => ({
      kind: "control",
      requestId,
      partition,
      control,
    }));
  }

  async controlAll(control: Control): Promise<void> {
    await Promise.all(this.ids.map((partition) => this.control(partition, control)));
  }

  /** Pages partition by partition; the token names the partition and the last item taken from it. */
  async page<T>(
    page: PageRequest,
    read: (partition: number, after: string, max: number) => Promise<T[]>,
    keyOf: (item: T) => string,
  ): Promise<Page<T>> {
    let [partition, after] = parsePageToken(page.pageToken);
    const items: T[] = [];
    for (; partition < this.count; partition++, after = "") {
      const found = await read(partition, after, page.pageSize - items.length);
      items.push(...found);
      if (items.length < page.pageSize) continue;
      const token = `${String(partition)}:${keyOf(items.at(-1)!)}`;
      return { items, nextPageToken: Buffer.from(token).toString("base64url") };
    }
    return { items };
  }
}

/** What addresses of the filter begin with. */
export function addressPrefix(filter: { namespace?: string; agent?: string }): string {
  if (filter.agent !== undefined) return `${filter.namespace ?? "default"}/${filter.agent}/`;
  return filter.namespace === undefined ? "" : `${filter.namespace}/`;
}

function parsePageToken(token: string | undefined): [partition: number, after: string] {
  if (token === undefined || token === NO_PAGE_TOKEN) return [0, ""];
  const match = /^(\d{1,5}):(.*)$/s.exec(Buffer.from(token, "base64url").toString("utf8"));
  if (match === null) {
    throw new CaxtonError("INVALID_ARGUMENT", "The page token is not one this server gave out.");
  }
  return [Number(match[1]), match[2]!];
}
