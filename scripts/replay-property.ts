/**
 * Random messages to every committed module, with its memory lost and restored at random points.
 * Usage: node scripts/replay-property.ts [messages] [seed]
 */
import { deployCommitted } from "../test/agents/probes.ts";
import { committedModules } from "../test/agents/modules.ts";
import { checkReplay } from "../test/agents/replay-property.ts";

const [messages = "10000", seed = "1"] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const path of committedModules()) {
  try {
    const run = checkReplay(await deployCommitted(path), Number(seed), Number(messages));
    console.log(
      `${path}: ${run.messages} messages, ${run.failures} failed turns, ${run.restores} restores`,
    );
    passed++;
  } catch (error) {
    console.log(`${path}, seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
    failed++;
  }
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
