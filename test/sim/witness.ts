/**
 * What the log says, as frames become durable: the ledger, and the state each partition would recover to.
 *
 * Owns both, and the frames in the order in which they became durable.
 * 1. When the servers lose a tail both are written anew without it; what they promised of it is then lost, no more.
 */
import { Ledger } from "./ledger.ts";
import type { LedgerPorts } from "./ledger.ts";
import type { Shadow } from "./shadow.ts";

export interface LostTail {
  /** Messages of clients that were taken in. */
  readonly accepted: ReadonlySet<string>;
  /** Replies to clients. */
  readonly replies: ReadonlySet<string>;
}

interface Durable {
  readonly partition: number;
  readonly sequence: number;
  readonly frame: Buffer;
}

export interface WitnessPorts extends LedgerPorts {
  newShadow(partition: number): Shadow;
}

export class Witness {
  ledger: Ledger;
  shadows: Shadow[];
  private readonly ports: WitnessPorts;
  private history: Durable[] = [];

  constructor(ports: WitnessPorts) {
    this.ports = ports;
    this.ledger = new Ledger(ports);
    this.shadows = this.newShadows();
  }

  private newShadows(): Shadow[] {
    const { partitions } = this.ports;
    return Array.from({ length: partitions }, (_, partition) => this.ports.newShadow(partition));
  }

  durable(partition: number, sequence: number, frame: Buffer): void {
    const durable = { partition, sequence, frame };
    this.history.push(durable);
    this.apply(durable);
  }

  private apply({ partition, sequence, frame }: Durable): void {
    this.ledger.apply(partition, sequence, frame);
    this.shadows[partition]!.apply(sequence, frame);
  }

  /** `isKept` says whether the servers still have a frame. */
  tailLost(isKept: (partition: number, sequence: number) => boolean): LostTail {
    const before = this.ledger;
    this.history = this.history.filter(({ partition, sequence }) => isKept(partition, sequence));
    this.ledger = new Ledger(this.ports);
    this.shadows = this.newShadows();
    this.ledger.mayBeTorn = true;
    for (const durable of this.history) this.apply(durable);
    this.ledger.mayBeTorn = false;
    const lost: LostTail = {
      accepted: without(before.accepted, this.ledger.accepted),
      replies: without(before.replies, this.ledger.replies),
    };
    this.ledger.inherit(before);
    return lost;
  }
}

function without(all: ReadonlySet<string>, some: ReadonlySet<string>): Set<string> {
  return new Set([...all].filter((token) => !some.has(token)));
}
