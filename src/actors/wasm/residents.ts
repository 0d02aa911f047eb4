/**
 * The actors of one worker whose memory is live. The system maps a bounded number of memories into a process,
 * and V8 ends the process at that bound, so there is one below it.
 *
 * Owns the list of those actors.
 * 1. An actor is in the list exactly while it has live memory; what a guest section made counts after it.
 * 2. Only idle actors that image and log can bring back leave, those not used lately first.
 */
import type { Actor } from "../partition/actor.ts";
import type { WasmInstance } from "./instance.ts";

export interface Departures {
  /** Called before an actor's memory is dropped to make room. */
  leaving(actor: Actor): void;
  /** The actor has no memory any more; this was it. */
  left(actor: Actor, instance: WasmInstance): void;
}

export class Residents {
  private readonly max: number;
  private readonly departures: Departures;
  private readonly actors: Actor[] = [];
  /** Where the search for one that may leave goes on. */
  private hand = 0;

  constructor(max: number, departures: Departures) {
    this.max = max;
    this.departures = departures;
  }

  private hasRoom(newcomers: number): boolean {
    return this.actors.length + newcomers <= this.max;
  }

  /** Takes in the memory the actor may have got. */
  add(actor: Actor): void {
    const instance = actor.live as WasmInstance | undefined;
    if (instance === undefined || instance.place >= 0) return;
    instance.place = this.actors.push(actor) - 1;
  }

  /** Drops the actor's memory. */
  drop(actor: Actor): void {
    const instance = actor.live as WasmInstance | undefined;
    actor.live = undefined;
    if (instance === undefined || instance.place < 0) return;
    const last = this.actors.pop()!;
    if (last !== actor) {
      this.actors[instance.place] = last;
      (last.live as WasmInstance).place = instance.place;
    }
    instance.place = -1;
  }

  /** Actors leave until there is room for so many more, or none may leave. */
  makeRoom(newcomers: number): void {
    let looks = 2 * this.actors.length;
    // There may be more newcomers than there is room at all.
    for (; !this.hasRoom(newcomers) && this.actors.length > 0 && looks > 0; looks--) {
      if (this.hand >= this.actors.length) this.hand = 0;
      if (!this.tryLeave(this.actors[this.hand]!)) this.hand++;
    }
  }

  /** Those that were not used since the last sweep leave. */
  sweep(): void {
    for (const actor of [...this.actors]) this.tryLeave(actor);
  }

  private tryLeave(actor: Actor): boolean {
    const instance = actor.live as WasmInstance;
    const { phase, agent, unwritten } = actor;
    const mayLeave = phase.kind === "idle" && !agent.isEphemeral && unwritten === 0;
    if (instance.isUsed || !mayLeave) {
      instance.isUsed = false;
      return false;
    }
    this.departures.leaving(actor);
    this.drop(actor);
    this.departures.left(actor, instance);
    return true;
  }
}
