/** `support bundle`: what a report of trouble needs, in one file. */
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { createTarGzip } from "nanotar";
import { ensureError } from "../../src/base/errors.ts";
import { VERSION } from "../../src/base/version.ts";
import type { GetDiagnosticsResponse } from "../../src/gen/caxton/v1/node.ts";
import type { CaxtonClient } from "../../sdk/client-ts/index.ts";
import { note } from "../output.ts";
import { plain } from "../plain.ts";
import { inSession } from "../session.ts";
import { UsageError } from "../usage-error.ts";

const DEAD_LETTERS_MAX = 100;
const ACTORS_MAX = 20;
const EVERY_AGENT = { namespace: "", pageSize: 1000, pageToken: "" };

interface Part {
  readonly name: string;
  readonly read: (client: CaxtonClient) => Promise<unknown>;
}

const PARTS: readonly Part[] = [
  { name: "node.json", read: ({ node }) => node.getStatus({}) },
  { name: "config.json", read: ({ node }) => node.getConfig({}) },
  { name: "agents.json", read: agents },
  {
    name: "supervisor.json",
    read: ({ supervisor }) => supervisor.getTree({ actorsMax: ACTORS_MAX }),
  },
  { name: "dead-letters.json", read: deadLetters },
];

export function supportCommand(): Command {
  const command = new Command("support").description("help for those who help");
  command
    .command("bundle")
    .description(
      "collect versions, configuration, status, metrics and the newest log lines of a server in one file; no messages and no state are in it",
    )
    .option("--file <path>", "where to write it (.tar.gz); default: a name with node and time")
    .action(({ file }: { file?: string }, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        // Without it there is nothing to collect: its failure is the command's.
        const version = await client.node.getVersion({});
        const { nodeId = "node" } = (await client.node.getStatus({})).status ?? {};
        const { files, failures } = await collect(client);
        files.set("versions.json", json({ client: VERSION, server: version }));
        if (failures.length > 0) files.set("failures.txt", `${failures.join("\n")}\n`);
        for (const failure of failures) note(`left out: ${failure}`);
        const at = new Date().toISOString().slice(0, 19).replaceAll(":", "");
        const path = file ?? `caxton-support-${nodeId}-${at}.tar.gz`;
        await write(path, files);
        printer.sentence(`${path} is written: look it through before you pass it on`, {
          path,
          files: [...files.keys()].sort(),
        });
      }),
    );
  return command;
}

async function collect(
  client: CaxtonClient,
): Promise<{ files: Map<string, string>; failures: string[] }> {
  const files = new Map<string, string>();
  const failures: string[] = [];
  const attempt = async (name: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failures.push(`${name}: ${ensureError(error).message}`);
    }
  };
  for (const { name, read } of PARTS) {
    await attempt(name, async () => void files.set(name, json(await read(client))));
  }
  await attempt("diagnostics", async () => {
    for (const [name, text] of diagnostics(await client.node.getDiagnostics({}))) {
      files.set(name, text);
    }
  });
  return { files, failures };
}

function diagnostics({ metrics, logLines, ...machine }: GetDiagnosticsResponse) {
  return [
    ["metrics.txt", metrics],
    ["server.log", logLines.map((line) => `${line}\n`).join("")],
    ["machine.json", json(machine)],
  ] as const;
}

/** Without the values of their configuration: some may be secret. */
async function agents({ agents: service }: CaxtonClient): Promise<unknown> {
  const found = await service.listAgents(EVERY_AGENT);
  return found.agents.map((agent) => {
    const config = Object.keys(agent.manifest?.config ?? {});
    return { ...agent, manifest: { ...agent.manifest, config } };
  });
}

/** Without the messages: their contents are nobody else's business. */
async function deadLetters({ deadLetters: service }: CaxtonClient): Promise<unknown> {
  const page = { pageSize: DEAD_LETTERS_MAX, pageToken: "" };
  const found = await service.listDeadLetters({ namespace: "", agent: "", ...page });
  return found.deadLetters.map(({ message, ...letter }) => {
    return { ...letter, receiver: message?.receiver, messageId: message?.id };
  });
}

async function write(path: string, files: ReadonlyMap<string, string>): Promise<void> {
  const entries = [...files]
    .sort()
    .map(([name, data]) => ({ name: `caxton-support/${name}`, data }));
  const bytes = await createTarGzip(entries, { attrs: { mode: "600" } });
  try {
    writeFileSync(path, bytes, { flag: "wx", mode: 0o600 });
  } catch (error) {
    throw new UsageError(`Can't write ${path}: ${ensureError(error).message}`);
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(plain(value), undefined, 2)}\n`;
}
