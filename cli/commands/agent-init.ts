/** `agent init`: a folder to begin with, made of the templates and typings in sdk/. */
import { cpSync, existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../usage-error.ts";
import { inSession, type Session } from "../session.ts";

const ROOT = join(import.meta.dirname, "../..");
const SDK = join(ROOT, "sdk");

interface Language {
  readonly name: string;
  /** Folder in sdk/agent/templates. */
  readonly template: string;
  /** Files of sdk/ that go along, so that the folder stands alone. */
  readonly kit: readonly string[];
  /** What to type before a deployment. */
  readonly steps: readonly string[];
}

const LANGUAGES = {
  ts: {
    name: "TypeScript",
    template: "typescript",
    kit: ["agent/*.d.ts"],
    steps: ["caxton agent test"],
  },
  as: { name: "AssemblyScript", template: "assemblyscript", kit: [], steps: [] },
  c: { name: "C", template: "c", kit: ["c/*"], steps: ["sh build.sh"] },
} satisfies Record<string, Language>;

/** What stands in the templates for what is known here. */
const NAME_IN_TEMPLATES = "my-agent";
const ROOT_IN_TEMPLATES = "/path/to/caxton";

interface InitOptions {
  readonly lang: keyof typeof LANGUAGES;
}

export function initCommand(): Command {
  return new Command("init")
    .description("make a folder with an agent to begin with")
    .argument("<name>", "name of the agent and its folder", folderName)
    .addOption(
      new Option("--lang <language>", "TypeScript, AssemblyScript or C")
        .choices(Object.keys(LANGUAGES))
        .default("ts"),
    )
    .action((name: string, options: InitOptions, own: Command) =>
      inSession(own, async (session) => init(session, name, LANGUAGES[options.lang])),
    );
}

function folderName(text: string): string {
  if (/^[a-z0-9-]{1,63}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be 1 to 63 of a-z, 0-9 and -.");
}

function init({ printer }: Session, name: string, language: Language): void {
  if (existsSync(name)) {
    throw new UsageError(`${name} exists already.`, "Take another name, or remove it first.");
  }
  cpSync(join(SDK, "agent/templates", language.template), name, { recursive: true });
  for (const file of globSync(language.kit, { cwd: SDK })) {
    cpSync(join(SDK, file), join(name, basename(file)));
  }
  const files = globSync("**/*.*", { cwd: name }).sort();
  for (const file of files) fillIn(join(name, file), name);
  const next = [
    `cd ${name}`,
    ...language.steps,
    "caxton server                    # in a terminal of its own",
    "caxton agent deploy . --watch    # in another one",
    `caxton message ask --to default/${name}/door --content Ada`,
  ];
  const text = [`${name} is made, in ${language.name}. Next:`, ...next].join("\n  ");
  printer.sentence(text, { name, files, next });
}

function fillIn(file: string, name: string): void {
  const text = readFileSync(file, "utf8");
  writeFileSync(
    file,
    text.replaceAll(NAME_IN_TEMPLATES, name).replaceAll(ROOT_IN_TEMPLATES, () => ROOT),
  );
}
