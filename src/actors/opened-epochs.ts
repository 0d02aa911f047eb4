/**
 * The newest epoch that this node has opened of each partition, or has tried to.
 *
 * A node that opens a partition again, since its worker died, goes one epoch further at most: what became of its
 * newest try may be unknown. Where another epoch came between, another node has taken over.
 */
export class OpenedEpochs {
  private readonly newest = new Map<number, number>();

  /** The epoch of the other node that has the partition; undefined: there is none, and this epoch is tried. */
  takenBy(partition: number, epoch: number): number | undefined {
    const own = this.newest.get(partition) ?? epoch;
    if (epoch > own + 1) return epoch - 1;
    this.newest.set(partition, epoch);
    return undefined;
  }
}
