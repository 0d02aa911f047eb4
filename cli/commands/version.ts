import { Command } from "commander";
import { VERSION } from "../../src/base/version.ts";
import type { Output } from "../output-format.ts";
import { note, Printer } from "../output.ts";
import { inSession, type Session } from "../session.ts";

const OWN_TEXT = `caxton ${VERSION}`;
const OWN = { client: { version: VERSION } };

export function versionCommand(): Command {
  return new Command("version")
    .description("versions of this program and of the server")
    .option("--client", "of this program alone; asks no server", false)
    .action((options: { client: boolean }, own: Command) => {
      if (!options.client) return inSession(own, printVersions);
      const { output } = own.optsWithGlobals<{ output: Output }>();
      new Printer(output).sentence(OWN_TEXT, OWN);
      return undefined;
    });
}

async function printVersions({ client, printer }: Session): Promise<void> {
  const { CaxtonError } = await import("../../sdk/client-ts/index.ts");
  try {
    const server = await client.node.getVersion({});
    const abi = `API ${server.apiVersion}, agent ABI ${server.abiVersion}`;
    printer.sentence(`${OWN_TEXT}\nserver ${server.version} (${abi})`, { ...OWN, server });
  } catch (error) {
    if (!(error instanceof CaxtonError)) throw error;
    printer.sentence(OWN_TEXT, OWN);
    note(error.message);
  }
}
