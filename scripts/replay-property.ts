/**
 * Random messages to every committed module and an agent in TypeScript, with its memory lost and restored at random points.
 * Usage: node scripts/replay-property.ts [messages] [seed]
 */
import { replayedAgents } from "../test/agents/probes.ts";
import { checkReplay } from "../test/agents/replay-property.ts";

const [messages = "10000", seed = "1"] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const [name, deploy] of replayedAgents()) {
  try {
    const run = checkReplay(await deploy(), Number(seed), Number(messages));
    console.log(
      `${name}: ${run.messages} messages, ${run.failures} failed turns, ${run.restores} restores`,
    );
    passed++;
  } catch (error) {
    console.log(`${name}, seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
    failed++;
  }
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
