/** What may stand at the cursor of a command line: a pure look at the tree of commands. */
import type { Argument, Command, Option } from "commander";

export interface Candidate {
  readonly word: string;
  readonly description: string;
}

/** Names only the server knows. */
export type NameSource = "actors" | "agents" | "dead-letters" | "namespaces";

export interface Completion {
  readonly candidates: readonly Candidate[];
  readonly source: NameSource | undefined;
  /** Values of options that stand before the cursor, by their names. */
  readonly options: ReadonlyMap<string, string>;
}

/** By the name of an option or of an argument's place. */
const SOURCES: Readonly<Record<string, NameSource>> = {
  "--to": "actors",
  "--address": "actors",
  "--agent": "agents",
  "--namespace": "namespaces",
  address: "actors",
  agent: "agents",
  "dead-letter id": "dead-letters",
};

/** `words` are those after the program's name; the last is the one at the cursor and may be empty. */
export function completionOf(program: Command, words: readonly string[]): Completion {
  const options = new Map<string, string>();
  let command = program;
  let position = 0;
  let open: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (open !== undefined) {
      options.set(open.attributeName(), word);
      open = undefined;
    } else if (word.startsWith("-")) {
      const option = optionsOf(command).find(({ short, long }) => word === short || word === long);
      open = option?.required === true ? option : undefined;
    } else {
      const inner = command.commands.find((known) => known.name() === word);
      command = inner ?? command;
      position = inner === undefined ? position + 1 : 0;
    }
  }
  const at = words.at(-1) ?? "";
  const { candidates, source } = possible(command, position, open, at);
  const matching = candidates.filter(({ word }) => word.startsWith(at));
  return { candidates: matching, source, options };
}

function possible(
  command: Command,
  position: number,
  open: Option | undefined,
  at: string,
): Pick<Completion, "candidates" | "source"> {
  if (open !== undefined) {
    return { candidates: choices(open), source: SOURCES[open.long ?? ""] };
  }
  if (at.startsWith("-")) {
    const candidates = optionsOf(command).map(({ long, short, description }) => ({
      word: long ?? short ?? "",
      description,
    }));
    return { candidates, source: undefined };
  }
  const argument = command.registeredArguments[position];
  if (argument === undefined) return { candidates: subcommands(command), source: undefined };
  const name = argument.name();
  const source = SOURCES[name] ?? SOURCES[`${command.parent?.name() ?? ""} ${name}`];
  return { candidates: choices(argument), source };
}

function choices({ argChoices, description }: Option | Argument): Candidate[] {
  return (argChoices ?? []).map((word) => ({ word, description }));
}

function subcommands(command: Command): Candidate[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((inner) => ({ word: inner.name(), description: inner.description() }));
}

function optionsOf(command: Command): Option[] {
  const help = command.createHelp();
  help.showGlobalOptions = true;
  return [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
}
