/** Actors of a partition by the bytes of their address, without decoding text on the way. */
import { Actor } from "./actor.ts";
import type { AgentShare } from "./agent-share.ts";
import { TurnLog } from "./turn-index.ts";

export class ActorTable {
  private readonly byHash = new Map<number, Actor>();
  private readonly turnLog = new TurnLog();
  private count = 0;

  get size(): number {
    return this.count;
  }

  find(hash: number, bytes: Buffer, offset: number, length: number): Actor | undefined {
    let actor = this.byHash.get(hash);
    while (actor !== undefined && !sameBytes(actor.addressBytes, bytes, offset, length)) {
      actor = actor.nextSameHash;
    }
    return actor;
  }

  create(address: string, hash: number, agent: AgentShare): Actor {
    const actor = new Actor(address, hash, agent, this.turnLog);
    actor.nextSameHash = this.byHash.get(hash);
    this.byHash.set(hash, actor);
    agent.actors.add(actor);
    this.count++;
    return actor;
  }

  /** Turns below this number are of no use to any actor. */
  forgetTurns(below: number): void {
    this.turnLog.forget(below);
  }

  remove(actor: Actor): void {
    const first = this.byHash.get(actor.hash);
    if (first === actor) {
      if (actor.nextSameHash === undefined) this.byHash.delete(actor.hash);
      else this.byHash.set(actor.hash, actor.nextSameHash);
    } else {
      let before = first;
      while (before !== undefined && before.nextSameHash !== actor) before = before.nextSameHash;
      if (before !== undefined) before.nextSameHash = actor.nextSameHash;
    }
    actor.agent.actors.delete(actor);
    this.count--;
  }

  *[Symbol.iterator](): IterableIterator<Actor> {
    for (const first of this.byHash.values()) {
      for (let actor: Actor | undefined = first; actor; actor = actor.nextSameHash) yield actor;
    }
  }
}

function sameBytes(address: Buffer, bytes: Buffer, offset: number, length: number): boolean {
  if (address.length !== length) return false;
  // From the end: addresses of one agent differ in their keys.
  for (let i = length - 1; i >= 0; i--) {
    if (address[i] !== bytes[offset + i]) return false;
  }
  return true;
}
