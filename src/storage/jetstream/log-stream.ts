/**
 * The stream that holds the logs of some partitions, and the removal of what they no longer want.
 *
 * Owns the floors: below which sequence a partition wants nothing.
 * 1. Only the oldest part of the whole stream goes, up to the lowest floor: to purge by subject would hold up
 *    all its partitions.
 * 2. A partition without a floor wants all it has; the newest frame of every partition stays.
 * 3. What goes is decided after a look at the leader: another node may have appended to a partition that
 *    seemed empty here.
 */
import { CaxtonError } from "../../base/errors.ts";
import type { HeldBack } from "../port.ts";
import type { WriteGate } from "../write-gate.ts";
import { JetStreamRefusal, type JetStreamApi } from "./jetstream-api.ts";
import type { LogPartition } from "./log-partition.ts";
import type { PartitionIndex } from "./partition-index.ts";
import type { StreamRoom } from "./stream-room.ts";

/** A purge rewrites files: it has to be worth it. */
const PURGE_BYTES_MIN = 8 * 1024 * 1024;
/** Of what the stream may take. */
const PURGE_FRACTION = 1 / 16;
/** Of what ordinary frames may take: above it every purge is worth it. */
const TIGHT_SHARE = 3 / 4;
/** Of what the stream may take: so much of it behind a wanted frame is a long time. */
const HELD_FRACTION = 1 / 4;

export interface LogStreamOptions {
  readonly api: JetStreamApi;
  readonly name: string;
  readonly bytesMax: number;
  readonly partitions: readonly LogPartition[];
  readonly gate: WriteGate;
  readonly room: StreamRoom;
}

export class LogStream {
  readonly name: string;
  readonly partitions: readonly LogPartition[];
  readonly room: StreamRoom;
  readonly #api: JetStreamApi;
  readonly #gate: WriteGate;
  readonly #bytesMax: number;
  /** By partition. */
  readonly #floors = new Map<number, number>();
  #purging: Promise<void> | undefined;
  #asksForPurge = false;

  constructor({ api, name, bytesMax, partitions, gate, room }: LogStreamOptions) {
    this.name = name;
    this.partitions = partitions;
    this.#api = api;
    this.#gate = gate;
    this.#bytesMax = bytesMax;
    this.room = room;
  }

  /** Resolves when what may go has gone, or there is too little of it. */
  trim(partition: LogPartition, belowSequence: number): Promise<void> {
    const { index } = partition;
    const floor = Math.max(this.#floors.get(index.partition) ?? 0, belowSequence);
    this.#floors.set(index.partition, floor);
    this.#asksForPurge = true;
    this.#purging ??= this.#purgeWhileAsked().finally(() => (this.#purging = undefined));
    return this.#purging;
  }

  /** Partitions that want a frame from long ago, the oldest first. */
  heldBackBy(): HeldBack[] {
    return this.partitions
      .flatMap(({ index }) => {
        const from = this.#wantedFrom(index) ?? Infinity;
        const bytes = this.partitions.reduce((sum, each) => sum + each.index.bytesFrom(from), 0);
        const sequence = index.sequenceAt(from) ?? index.first;
        const { partition } = index;
        return bytes < this.#bytesMax * HELD_FRACTION ? [] : [{ partition, sequence, bytes }];
      })
      .sort((a, b) => b.bytes - a.bytes);
  }

  async idle(): Promise<void> {
    await this.#purging;
    await Promise.all(this.partitions.map((partition) => partition.idle()));
  }

  async #purgeWhileAsked(): Promise<void> {
    while (this.#asksForPurge) {
      this.#asksForPurge = false;
      await this.#purge();
    }
  }

  async #purge(): Promise<void> {
    try {
      if (this.#bytesBelow(this.#floor()) < this.#purgeBytesMin) return;
      await Promise.all(this.partitions.map((partition) => partition.newest()));
      const floor = this.#floor();
      if (this.#gate.refusal !== undefined || floor === 0) return;
      await this.#api.purgeBelow(this.name, floor);
      for (const { index } of this.partitions) index.dropBelow(floor);
      await this.room.look();
    } catch (error) {
      // The next trim tries again.
      if (error instanceof JetStreamRefusal) return;
      if (error instanceof CaxtonError && error.code === "STORAGE_UNAVAILABLE") return;
      throw error;
    }
  }

  get #purgeBytesMin(): number {
    if (this.room.fullShare > TIGHT_SHARE) return 1;
    return Math.min(PURGE_BYTES_MIN, this.#bytesMax * PURGE_FRACTION);
  }

  /** Stream sequence below which no partition wants anything, 0 when there is nothing. */
  #floor(): number {
    let floor = Infinity;
    for (const { index } of this.partitions) {
      floor = Math.min(floor, this.#wantedFrom(index) ?? Infinity);
    }
    if (floor === Infinity) return 0;
    // Lowering it for one partition may put another's first message in question.
    for (let before = -1; before !== floor;) {
      before = floor;
      for (const { index } of this.partitions) floor = index.floorUpTo(floor);
    }
    return floor;
  }

  #wantedFrom(index: PartitionIndex): number | undefined {
    const floor = this.#floors.get(index.partition) ?? 0;
    const sequence = Math.max(Math.min(floor, index.last), index.first);
    return index.place(sequence)?.streamSequence;
  }

  #bytesBelow(streamSequence: number): number {
    return this.partitions.reduce((sum, { index }) => sum + index.bytesBelow(streamSequence), 0);
  }
}
