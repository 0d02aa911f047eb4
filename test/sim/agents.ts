/** The agents of a run: what is deployed under which limits. */
import { hashAddressText, partitionOf } from "../../src/actors/address.ts";
import type { Environment } from "../../src/actors/environment.ts";
import type { AgentManifest, SupervisionGroup } from "../../src/actors/manifest.ts";
import type { Swarm } from "./swarm.ts";

export const WORK = "sim/work";
export const REENTRANT = "sim/loop";
export const EPHEMERAL = "sim/eph";
const GROUPED = "sim/group";
/** Removed and deployed again now and then. */
export const TEMPORARY = "sim/temp";
export const DRIFTING = "sim/drift";
/** Never deployed. */
export const MISSING = "sim/none";

export const AGENTS = [WORK, REENTRANT, EPHEMERAL, GROUPED, TEMPORARY, DRIFTING] as const;

const MEMBERS = 3;

export function addressOf(agent: string, key: number): string {
  // Long keys now and then: answers to them must find room.
  return `${agent}/k${key}${key % 5 === 4 ? "~4C".repeat(200) : ""}`;
}

/** Keys of one partition. */
function groupMembers(partitions: number): string[] {
  const home = partitionOf(hashAddressText(`${GROUPED}/k0`), partitions);
  const members: string[] = [];
  for (let key = 0; members.length < MEMBERS; key++) {
    const isHere = partitionOf(hashAddressText(`${GROUPED}/k${key}`), partitions) === home;
    if (isHere && key % 5 !== 4) members.push(`k${key}`);
  }
  return members;
}

function manifestOf(agent: string, swarm: Swarm): AgentManifest {
  const [namespace, name] = agent.split("/") as [string, string];
  const groups: SupervisionGroup[] = [];
  if (agent === GROUPED) {
    const strategy = swarm.seed % 2 === 0 ? "one_for_all" : "rest_for_one";
    groups.push({ name: "all", strategy, members: groupMembers(swarm.partitions) });
  }
  return {
    namespace,
    name,
    description: "",
    durability: agent === EPHEMERAL ? "ephemeral" : "durable",
    reentrant: agent === REENTRANT,
    limits: {
      memoryPagesMax: 1,
      tableElementsMax: 1,
      fuelPerMessage: 1,
      turnTimeoutMs: 1000,
      callDepthMax: 10,
      mailboxMessagesMax: swarm.mailboxMessagesMax,
      mailboxBytesMax: swarm.mailboxBytesMax,
      messageBytesMax: 2048,
      effectsBytesMax: 6000,
      stateBytesMax: 3000,
      timersMax: 4,
      asksPendingMax: 4,
    },
    attemptsMax: swarm.attemptsMax,
    backoff: { initialMs: 10, maxMs: 100, factor: 2 },
    supervision: { restartsMax: swarm.restartsMax, windowMs: 1000, groups },
    upgrade: { drainMs: swarm.drainMs },
    config: {},
    flags: {},
  };
}

export function environmentOf(id: number, agent: string, swarm: Swarm): Environment {
  return {
    id,
    agent,
    version: `v${id}`,
    // Now and then other code, and the same again for a while.
    moduleSha256: `m${Math.floor(id / 3)}`,
    templateSha256: undefined,
    manifest: manifestOf(agent, swarm),
    replayOnly: false,
    carriesTrace: true,
  };
}
