/** Why a recovery begins anew: nothing that it read so far may be used. */
import { CaxtonError } from "../base/errors.ts";

export class RecoverAnew extends CaxtonError {}

/** Another node wrote to the partition while this one took it over: what was recovered is not all there is. */
export class PartitionContended extends RecoverAnew {
  constructor(partition: number) {
    const text = `Another node may have written to partition ${String(partition)} while this one took it over.`;
    super("PARTITION_FENCED", text);
  }
}

export class WorkerDied extends RecoverAnew {
  constructor(worker: number) {
    const text = `Worker ${String(worker)} died while its partitions were recovered.`;
    super("PARTITION_UNAVAILABLE", text);
  }
}
