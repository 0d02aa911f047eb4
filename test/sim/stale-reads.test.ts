/** That the simulation notices who decides by what a follower shows. */
import { expect, test } from "vitest";
import { simulate } from "./simulate.ts";

const SEEDS = 40;

test("a node that reads at a follower breaks promises", () => {
  const found = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { failure } = simulate(seed, "follower");
    if (failure !== undefined) found.add(failure.message.replaceAll(/[0-9a-f]{64}|\d+/g, "#"));
  }
  // Its recovery is behind what was trimmed, deleted and appended.
  expect([...found]).toEqual(
    expect.arrayContaining([
      "blob # was read after it was deleted",
      "recovery of partition #: blob # was read after it was deleted",
      "recovery of partition #: frames from # to # are trimmed",
      "frame #/#/# was sent again with other bytes",
    ]),
  );
});
