/** The programs of docs/nats.md, run as they stand there with the plain NATS client, print what stands there. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  connectAs,
  type DoorNode,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import type { NatsServer } from "../../support/nats-servers.ts";
import { manifest } from "../../support/wire.ts";
import { removeFolders } from "./support.ts";
import { go, python } from "./toolchains.ts";

const ROOT = join(import.meta.dirname, "../../..");
const TEXT = readFileSync(join(ROOT, "docs/nats.md"), "utf8");
const BLOCKS = [...TEXT.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(
  ([, language = "", info = "", body = ""]) => ({ language, info, body }),
);
const scriptsOf = (how: string) =>
  BLOCKS.flatMap(({ info, body }, i) =>
    info === how ? [{ script: body, output: BLOCKS[i + 1]!.body }] : [],
  );
const SCRIPTS = scriptsOf("run");

let folder: string;
let server: NatsServer;
let node: DoorNode;

function write(path: string, body: string): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, body.replaceAll("127.0.0.1:4222", server.url));
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "caxton-nats-reader-"));
  server = await startDoorServer();
  node = await startDoorNode({ directory: join(folder, "data"), server });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const { info, body } of BLOCKS) {
    const path = /^file=(\S+)$/.exec(info)?.[1];
    if (path !== undefined) write(path, body);
  }
  const files = new Map([["index.ts", readFileSync(join(folder, "orders/index.ts"), "utf8")]]);
  await node.kernel.agents.deploy({
    manifest: manifest("orders"),
    source: { kind: "source", language: "typescript", files },
    resetMemory: false,
  });
});

afterAll(async () => {
  await node.stop();
  await server.dispose();
  rmSync(folder, { recursive: true, force: true });
  removeFolders();
});

test.each(SCRIPTS)("$script", async ({ script, output }) => {
  const { stdout } = await promisify(execFile)("sh", ["-ec", script], { cwd: folder });
  expect(stdout).toBe(output);
});

test.for([await python(), await go()])("the program in $name", async (toolchain, { skip }) => {
  const { name, env, missing } = toolchain;
  if (missing !== undefined) {
    console.warn(`SKIPPED: the program in ${name} of docs/nats.md is not run, no ${missing} here`);
    skip();
  }
  const [found] = scriptsOf(`run with ${name}`);
  const options = { cwd: folder, env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)("sh", ["-ec", found!.script], options);
  expect(stdout).toBe(found!.output);
});

test("there is something to run", () => {
  expect(SCRIPTS).toHaveLength(4);
  for (const name of ["python", "go"]) expect(scriptsOf(`run with ${name}`)).toHaveLength(1);
});

test("the accounts of the page let no client into the node's subjects, as those of the tests", async () => {
  const [page] = BLOCKS.filter(({ body }) => body.startsWith("accounts"));
  const granted = page!.body.match(/\{ (?:service|stream): .*\}/g)!;
  const connection = await connectAs(server, "client");
  const configuration = readFileSync(join(server.directory, "server.conf"), "utf8");
  await connection.close();
  for (const line of granted) expect(configuration).toContain(line);
  expect(configuration.match(/\{ (?:service|stream): .*\}/g)).toHaveLength(granted.length);
});
