/** Messages of the stream that clients send by, from the main thread to the partitions of a worker. */
import type { HostedPartition } from "./hosted-partition.ts";
import { asBuffer, type ToWorker } from "./worker-protocol.ts";

/** A partition that is being recovered gets all of it again when it is open. */
export function handOver(
  partitions: ReadonlyMap<number, HostedPartition>,
  { messages, bytes, disposed, givenUp }: Extract<ToWorker, { kind: "stream" }>,
): void {
  const packed = asBuffer(bytes);
  for (const { partition, n, storedS, id, offset, length } of messages) {
    const envelope = length === 0 ? undefined : packed.subarray(offset, offset + length);
    partitions.get(partition)?.stream.offer({ n, storedS, id, envelope });
  }
  for (const { partition, n } of disposed) partitions.get(partition)?.stream.dispose(n);
  for (const { partition, n } of givenUp) partitions.get(partition)?.stream.giveUp(n);
}
