/** Dead letters as operators see them. */
import { CaxtonError } from "../base/errors.ts";
import type { DeadLetter, DeadLetterOperations, Page, PageRequest } from "./kernel.ts";
import { addressPrefix } from "./partition-access.ts";
import type { PartitionAccess } from "./partition-access.ts";

export class DeadLetterAdmin implements DeadLetterOperations {
  private readonly partitions: PartitionAccess;

  constructor(partitions: PartitionAccess) {
    this.partitions = partitions;
  }

  async list(
    filter: { namespace?: string; agent?: string },
    page: PageRequest,
  ): Promise<Page<DeadLetter>> {
    const prefix = addressPrefix(filter);
    return this.partitions.page(
      page,
      (partition, after, max) =>
        this.partitions.query({
          kind: "dead-letters",
          partition,
          prefix,
          after: Number(after),
          max,
        }),
      (letter) => letter.id.slice(letter.id.indexOf("-") + 1),
    );
  }

  retry(id: string): Promise<void> {
    return this.dispose(id, "dead-letter-retry");
  }

  drop(id: string): Promise<void> {
    return this.dispose(id, "dead-letter-drop");
  }

  private async dispose(id: string, kind: "dead-letter-retry" | "dead-letter-drop"): Promise<void> {
    const match = /^(\d{1,5})-(\d{1,15})$/.exec(id);
    const partition = Number(match?.[1] ?? -1);
    const seq = Number(match?.[2]);
    const isPartition = partition >= 0 && partition < this.partitions.count;
    const letter =
      isPartition &&
      (await this.partitions.query({ kind: "dead-letter", partition, seq })) !== undefined;
    if (!letter) throw new CaxtonError("DEAD_LETTER_NOT_FOUND", `No dead letter has the id ${id}.`);
    await this.partitions.control(partition, { kind, seq });
  }
}
