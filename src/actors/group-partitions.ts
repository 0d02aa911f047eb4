/** Actors that are restarted together live in one partition. */
import type { Finding } from "../base/errors.ts";
import type { AgentManifest } from "./manifest.ts";

/** One finding per group whose members live in several partitions, with keys that would not. */
export function groupPartitionFindings(
  manifest: AgentManifest,
  partitionOf: (key: string) => number,
): Finding[] {
  return manifest.supervision.groups.flatMap((group, index) => {
    const [first, ...others] = group.members;
    const home = partitionOf(first!);
    const strays = others.filter((key) => partitionOf(key) !== home);
    if (strays.length === 0) return [];
    const places = group.members.map((key) => `"${key}" in ${partitionOf(key)}`).join(", ");
    const renamed = strays.map((key) => `"${keyIn(home, key, partitionOf)}" for "${key}"`);
    return [
      {
        at: `spec.supervision.groups.${index}.members`,
        message: `the members of "${group.name}" must live in one partition: ${places}`,
        hint: `Keys that live in partition ${home}: ${renamed.join(", ")}.`,
      },
    ];
  });
}

/** The first of key-1, key-2, ... that lives in the partition. */
function keyIn(partition: number, key: string, partitionOf: (key: string) => number): string {
  for (let suffix = 1; ; suffix++) {
    const candidate = `${key}-${suffix}`;
    if (partitionOf(candidate) === partition) return candidate;
  }
}
