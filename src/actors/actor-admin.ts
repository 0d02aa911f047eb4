/** Actors and their state as operators see them. */
import { CaxtonError } from "../base/errors.ts";
import { formatAddress, parseAddress } from "./address.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type {
  ActorInfo,
  ActorOperations,
  ActorStatus,
  Page,
  PageRequest,
  StateEntry,
} from "./kernel.ts";
import { addressPrefix } from "./partition-access.ts";
import type { PartitionAccess } from "./partition-access.ts";

const NO_PAGE_TOKEN = "";

export class ActorAdmin implements ActorOperations {
  private readonly registry: AgentRegistry;
  private readonly partitions: PartitionAccess;

  constructor(registry: AgentRegistry, partitions: PartitionAccess) {
    this.registry = registry;
    this.partitions = partitions;
  }

  async list(
    filter: { namespace?: string; agent?: string; status?: ActorStatus },
    page: PageRequest,
  ): Promise<Page<ActorInfo>> {
    const prefix = addressPrefix(filter);
    const { status } = filter;
    return this.partitions.page(
      page,
      (partition, after, max) =>
        this.partitions.query({ kind: "actors", partition, prefix, status, after, max }),
      (actor) => actor.address,
    );
  }

  async get(address: string): Promise<ActorInfo> {
    const canonical = this.canonical(address);
    const partition = this.partitions.of(canonical);
    const actor = await this.partitions.query<ActorInfo | undefined>({
      kind: "actor",
      partition,
      address: canonical,
    });
    if (actor !== undefined) return actor;
    throw new CaxtonError("ACTOR_NOT_FOUND", `There is no actor ${canonical}.`);
  }

  /** The canonical form of an address whose agent is deployed. */
  private canonical(address: string): string {
    const parsed = parseAddress(address);
    this.registry.get(parsed.namespace, parsed.agent);
    return formatAddress(parsed);
  }

  release(address: string): Promise<ActorInfo> {
    return this.changeActor(address, "release");
  }

  reset(address: string): Promise<ActorInfo> {
    return this.changeActor(address, "reset");
  }

  private async changeActor(address: string, kind: "release" | "reset"): Promise<ActorInfo> {
    const { address: actor, partition } = await this.get(address);
    await this.partitions.control(partition, { kind, actor });
    return this.get(address);
  }

  async getState(address: string, key: string): Promise<StateEntry> {
    const canonical = (await this.get(address)).address;
    const partition = this.partitions.of(canonical);
    const entry = await this.partitions.query<StateEntry | undefined>({
      kind: "state",
      partition,
      address: canonical,
      key,
    });
    if (entry !== undefined) return entry;
    throw new CaxtonError("STATE_NOT_FOUND", `${canonical} has no state under "${key}".`);
  }

  async listState(address: string, prefix: string, page: PageRequest): Promise<Page<StateEntry>> {
    const canonical = (await this.get(address)).address;
    const after = Buffer.from(page.pageToken ?? NO_PAGE_TOKEN, "base64url").toString("utf8");
    const items = await this.partitions.query<StateEntry[]>({
      kind: "states",
      partition: this.partitions.of(canonical),
      address: canonical,
      prefix,
      after,
      max: page.pageSize,
    });
    const last = items.at(-1);
    if (last === undefined || items.length < page.pageSize) return { items };
    return { items, nextPageToken: Buffer.from(last.key).toString("base64url") };
  }
}
