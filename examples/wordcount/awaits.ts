/** The handlers that were in the middle of an await when the node was killed. */
import type { Api } from "./api.ts";

/** The agents that await. */
const AGENTS = ["splitter", "tally"] as const;

interface Handled {
  readonly beganAtMs: number;
  readonly endedAtMs: number;
}

/**
 * A look at the actors before the kill would be out of date when it falls, and one after the restart finds
 * handlers that have gone on. So this counts afterwards: every handler keeps when its first and its last turn
 * ran. One that began before the kill and ended after it had its first turn on disk (else the message would
 * have been handled anew, after the restart) and its end still to come: it was open, and went on.
 */
export async function awaitsOpenAt(api: Api, killedAtMs: number): Promise<number> {
  let open = 0;
  for (const agent of AGENTS) {
    for await (const address of api.actors(agent)) {
      for (const value of (await api.state(address, "handled/")).values()) {
        const { beganAtMs, endedAtMs } = JSON.parse(value) as Handled;
        if (beganAtMs <= killedAtMs && killedAtMs < endedAtMs) open++;
      }
    }
  }
  return open;
}
