/** A little of `npm run replay-property`, for every committed module. */
import { expect, test } from "vitest";
import { deployCommitted } from "./probes.ts";
import { committedModules } from "./modules.ts";
import { checkReplay } from "./replay-property.ts";

const MESSAGES = 40;

test.each(committedModules())("%s comes back as it was", async (path) => {
  const { messages, restores, failures } = checkReplay(await deployCommitted(path), 1, MESSAGES);
  expect(messages).toBe(MESSAGES);
  expect(restores).toBeGreaterThan(0);
  expect(failures).toBeLessThan(messages);
});
