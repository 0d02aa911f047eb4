import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, Command } from "commander";
import type { CaxtonClient } from "../../sdk/client-ts/index.ts";
import { type Candidate, completionOf, type NameSource } from "../completion.ts";

const SHELLS = ["bash", "zsh", "fish"];
const SCRIPTS = join(import.meta.dirname, "../shells");
/** Somebody waits with a finger on the key. */
const NAMES_TIMEOUT_MS = 500;
const NAMES_MAX = 1000;

const INSTALLING = `
Load it in the shell's start-up file:
  bash   eval "$(caxton completion bash)"                 in ~/.bashrc
  zsh    eval "$(caxton completion zsh)"                  in ~/.zshrc, after compinit
  fish   caxton completion fish | source                  in ~/.config/fish/config.fish`;

export function completionCommand(): Command {
  return new Command("completion")
    .description("print what makes a shell complete commands, options and names")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText("after", INSTALLING)
    .action((shell: string) => {
      process.stdout.write(readFileSync(join(SCRIPTS, `caxton.${shell}`)));
    });
}

/** Asked by the shells; never fails. */
export function completeCommand(program: Command): Command {
  return new Command("__complete").argument("[words...]").action(async (words: string[]) => {
    const { candidates, source, options } = completionOf(program, words);
    const endpoint = options.get("endpoint") ?? program.opts<{ endpoint: string }>().endpoint;
    const names = source === undefined ? [] : await namesFrom(endpoint, source);
    const at = words.at(-1) ?? "";
    const matching = names.filter(({ word }) => word.startsWith(at));
    const lines = [...candidates, ...matching].map(
      ({ word, description }) => `${word}\t${description}\n`,
    );
    process.stdout.write(lines.join(""));
    // Idle connections would keep the process alive.
    process.exit();
  });
}

async function namesFrom(endpoint: string, source: NameSource): Promise<Candidate[]> {
  const { connect } = await import("../../sdk/client-ts/index.ts");
  const client = connect({ endpoint, timeoutMs: NAMES_TIMEOUT_MS, attemptsMax: 1 });
  return NAMES[source](client).catch(() => []);
}

const NAMES: Readonly<Record<NameSource, (client: CaxtonClient) => Promise<Candidate[]>>> = {
  actors: async ({ actors }) => {
    const page = await actors.listActors({ pageSize: NAMES_MAX });
    return page.actors.map(({ address }) => ({ word: address, description: "actor" }));
  },
  agents: async ({ agents }) => {
    const answer = await agents.listAgents({});
    return answer.agents.map(({ namespace, name, manifest }) => ({
      word: namespace === "default" ? name : `${namespace}/${name}`,
      description: manifest?.description ?? "",
    }));
  },
  "dead-letters": async ({ deadLetters }) => {
    const page = await deadLetters.listDeadLetters({ pageSize: NAMES_MAX });
    return page.deadLetters.map(({ id, reason }) => ({ word: id, description: reason }));
  },
  namespaces: async ({ agents }) => {
    const answer = await agents.listAgents({});
    const known = new Set(answer.agents.map(({ namespace }) => namespace));
    return [...known].map((word) => ({ word, description: "namespace" }));
  },
};
