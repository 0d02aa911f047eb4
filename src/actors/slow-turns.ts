/**
 * Warnings about turns that took long.
 *
 * Owns when each agent was last warned about.
 * 1. An agent gets one line in QUIET_MS at most; the next one says how many turns had none.
 */
import type { Logger } from "../base/log.ts";
import type { PostedSlowTurn } from "./worker-protocol.ts";

const QUIET_MS = 10_000;

interface Warned {
  readonly atMs: number;
  omitted: number;
}

export interface SlowTurnPorts {
  readonly log: Logger;
  nowMs(): number;
}

export class SlowTurns {
  private readonly ports: SlowTurnPorts;
  private readonly warned = new Map<string, Warned>();

  constructor(ports: SlowTurnPorts) {
    this.ports = ports;
  }

  warn(turns: readonly PostedSlowTurn[]): void {
    for (const { agent, ...turn } of turns) {
      const last = this.warned.get(agent);
      const nowMs = this.ports.nowMs();
      if (last !== undefined && nowMs - last.atMs < QUIET_MS) {
        last.omitted++;
        continue;
      }
      this.forget(nowMs);
      this.warned.set(agent, { atMs: nowMs, omitted: 0 });
      const omitted = last?.omitted ?? 0;
      this.ports.log.warn(omitted === 0 ? turn : { ...turn, omitted }, "slow turn");
    }
  }

  /** Agents that have nothing left to say. */
  private forget(nowMs: number): void {
    for (const [agent, { atMs, omitted }] of this.warned) {
      if (omitted === 0 && nowMs - atMs >= QUIET_MS) this.warned.delete(agent);
    }
  }
}
