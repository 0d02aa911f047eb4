/** `agent test`: an author's own tests, run by Node with a Caxton node at hand. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Command } from "commander";
import { UsageError } from "../usage-error.ts";
import { inSession } from "../session.ts";

const REGISTER = join(import.meta.dirname, "../../sdk/agent/testing/register.ts");
const TEST_FILES = "**/*.test.{ts,mts,js,mjs}";

export function testCommand(): Command {
  return new Command("test")
    .description("run the tests in an agent's folder, each file with nodes of its own at hand")
    .argument("[path]", "folder of the agent", ".")
    .action((path: string, _: object, own: Command) => inSession(own, () => runTests(path)));
}

async function runTests(folder: string): Promise<void> {
  const files = globSync(TEST_FILES, { cwd: folder, exclude: ["**/node_modules"] }).sort();
  if (files.length === 0) {
    throw new UsageError(
      `${folder} holds no tests.`,
      "Put one into a file that ends with .test.ts; 'caxton agent init' makes a folder with one.",
    );
  }
  const args = ["--no-warnings", "--import", pathToFileURL(REGISTER).href, "--test", ...files];
  const runner = spawn(process.execPath, args, { cwd: folder, stdio: "inherit" });
  const [code] = (await once(runner, "close")) as [number | null];
  process.exitCode = code ?? 1;
}
