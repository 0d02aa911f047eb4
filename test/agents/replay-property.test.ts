/** A little of `npm run replay-property`, for every committed module and an agent in TypeScript. */
import { expect, test } from "vitest";
import { replayedAgents } from "./probes.ts";
import { checkReplay } from "./replay-property.ts";

const MESSAGES = 40;

test.each(replayedAgents())("%s comes back as it was", async (_name, deploy) => {
  const { messages, restores, failures } = checkReplay(await deploy(), 1, MESSAGES);
  expect(messages).toBe(MESSAGES);
  expect(restores).toBeGreaterThan(0);
  expect(failures).toBeLessThan(messages);
});
