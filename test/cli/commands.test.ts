import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { parseTarGzip } from "nanotar";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createProgram } from "../../cli/program.ts";
import { EXIT } from "../../src/base/exit-codes.ts";
import { LAUNCHER, type ServerProcess, startServerProcess } from "../support/server.ts";
import { fixtureModule, fixturePath } from "../support/wire.ts";

let server: ServerProcess;
const folder = mkdtempSync(join(tmpdir(), "caxton-cli-"));

beforeAll(async () => {
  server = await startServerProcess();
});

afterAll(async () => {
  await server.dispose();
  rmSync(folder, { recursive: true });
});

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Every command line that was given to a program. */
const given: string[] = [];

function start(args: readonly string[], stdin = "", more: Record<string, string> = {}) {
  given.push(args.join(" "));
  const env = { ...process.env, CAXTON_ENDPOINT: server.endpoint, ...more };
  const child = spawn(LAUNCHER, args, { env, stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.end(stdin);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Outcome>((resolve) => {
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

function caxton(...args: string[]): Promise<Outcome> {
  return start(args).ended;
}

async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await caxton(...args, "-o", "json");
  expect({ code, stderr }).toMatchObject({ code: EXIT.ok });
  return JSON.parse(stdout) as unknown;
}

test("an agent's life, from a folder to its deletion", async () => {
  const path = join(folder, "greeter");
  mkdirSync(path);
  writeFileSync(join(path, "greeter.wasm"), fixtureModule("echo"));
  writeFileSync(
    join(path, "agent.yaml"),
    "apiVersion: caxton/v1\nkind: Agent\nmetadata: {name: greeter}\n",
  );
  const deployed = await caxton("agent", "deploy", path);
  expect(deployed).toMatchObject({ code: EXIT.ok });
  expect(deployed.stdout).toMatch(/^default\/greeter is deployed, version [0-9a-f]{12}\n$/);
  expect(deployed.stderr).toMatch(/static: passed[^]*sandbox: passed[^]*contract: passed/);
  expect((await caxton("agent", "deploy", path)).stdout).toContain("is unchanged");

  expect((await caxton("agent", "list")).stdout).toMatch(
    /^NAMESPACE +NAME[^]*default +greeter +running/,
  );
  expect(await json("agent", "inspect", "greeter")).toMatchObject({
    name: "greeter",
    status: "running",
    manifest: { limits: { memoryPagesMax: 256 } },
  });

  const asked = await caxton("message", "ask", "--to", "default/greeter/x", "--content", "hello");
  expect(asked).toEqual({ code: EXIT.ok, stdout: "hello", stderr: "" });

  expect((await caxton("agent", "suspend", "greeter", "--reason", "tea")).code).toBe(EXIT.ok);
  expect(await json("agent", "inspect", "default/greeter")).toMatchObject({
    status: "suspended",
    reason: "tea",
  });
  expect((await caxton("agent", "resume", "greeter")).code).toBe(EXIT.ok);
  expect((await caxton("agent", "delete", "greeter")).code).toBe(EXIT.ok);
  expect(await caxton("agent", "inspect", "greeter")).toMatchObject({
    code: EXIT.notFound,
    stdout: "",
  });
});

describe("with an agent", () => {
  beforeAll(async () => {
    const manifest = join(folder, "probe.yaml");
    const spec = "spec: {attemptsMax: 1}";
    writeFileSync(
      manifest,
      `apiVersion: caxton/v1\nkind: Agent\nmetadata: {name: other}\n${spec}\n`,
    );
    const args = ["--name", "probe", "--manifest", manifest];
    expect(await caxton("agent", "deploy", fixturePath("probe"), ...args)).toMatchObject({
      code: EXIT.ok,
    });
  });

  test("content from standard input, and its type", async () => {
    const args = ["message", "ask", "--to", "default/probe/in", "-", "-o", "json"];
    const { stdout } = await start(args, "self").ended;
    expect(JSON.parse(stdout)).toMatchObject({ reply: { content: "default/probe/in" } });
    const described = await caxton(
      ...["message", "ask", "--to", "default/probe/in", "--content", "message"],
      ...["--performative", "query-if", "--id", "m1", "--header", "a=1", "--client", "me"],
    );
    expect(described.stdout).toContain("m1|me|default/probe/in|query-if|text/plain|");
  });

  test("a repeated id is told", async () => {
    const send = () =>
      caxton("message", "send", "--to", "default/probe/dup", "--content", "self", "--id", "d1");
    expect((await send()).stdout).toMatch(/^d1 is accepted \(partition \d, frame \d+\)\n$/);
    expect((await send()).stdout).toContain("d1 was already accepted");
  });

  test("state and actors", async () => {
    const to = "default/probe/kept";
    await caxton("message", "ask", "--to", to, "--content", "put colour blue");
    expect((await caxton("state", "get", to, "colour")).stdout).toBe("blue");
    expect(await json("state", "list", to)).toMatchObject([{ key: "colour", value: "blue" }]);
    expect(await caxton("state", "get", to, "shape")).toMatchObject({ code: EXIT.notFound });
    expect(await json("actor", "inspect", to)).toMatchObject({ address: to, stateKeys: 1 });
    expect((await caxton("actor", "list", "--agent", "probe")).stdout).toContain(to);
    expect((await caxton("actor", "reset", to, "--yes")).code).toBe(EXIT.ok);
    expect((await caxton("actor", "release", to)).stdout).toBe(`${to} is released\n`);
    expect((await caxton("state", "get", to, "colour")).stdout).toBe("blue");
  });

  test("a conversation and a state over time", async () => {
    const to = "default/probe/traced";
    const ask = ["message", "ask", "--to", to, "--conversation", "talk", "--id", "t1"];
    await caxton(...ask, "--content", "put colour blue");
    const lines = (await caxton("message", "trace", "talk")).stdout.split("\n");
    expect(lines[1]).toMatch(
      / arrived +default\/probe\/traced +t1 +request of \S+: put colour blue$/,
    );
    expect(lines[2]).toMatch(/ handled +default\/probe\/traced +t1 +put colour, reply to \S+$/);
    expect(lines[3]).toMatch(/ arrived +\S+ +\S+ +inform of default\/probe\/traced: ok$/);
    const events = [{ kind: "arrived" }, { kind: "handled", effects: [{ kind: "state_put" }, {}] }];
    expect(await json("message", "trace", "--message", "t1")).toMatchObject({
      complete: true,
      events: [...events, {}],
    });
    expect(await caxton("message", "trace")).toMatchObject({ code: EXIT.usage });
    const history = await caxton("state", "history", to, "-o", "custom-columns=K:key,V:value");
    expect(history.stdout).toBe("K       V\ncolour  blue\n");
  });

  test("a failure says what, how to fix, code and trace; its dead letter can be dropped", async () => {
    const failed = await caxton(
      ...["message", "ask", "--to", "default/probe/bad", "--content", "throw boom"],
    );
    expect(failed).toMatchObject({ code: EXIT.failure, stdout: "" });
    expect(failed.stderr).toMatch(
      /^error: .*boom[^]*fix: [^]*code: AGENT_[^]*trace: [0-9a-f]{32}\n$/,
    );
    const letters = (await json("dead-letter", "list")) as { id: string }[];
    expect(letters).toMatchObject([{ message: { receiver: "default/probe/bad" }, attempts: 1 }]);
    expect((await caxton("dead-letter", "retry", letters[0]!.id)).stdout).toMatch(/ is back in/);
    // It fails as before and is back, as another dead letter.
    const again = async () => (await json("dead-letter", "list")) as { id: string }[];
    await expect.poll(again, { timeout: 10_000 }).toHaveLength(1);
    expect((await caxton("dead-letter", "drop", (await again())[0]!.id)).code).toBe(EXIT.ok);
    expect(await json("dead-letter", "list")).toEqual([]);
  });

  test("stream prints what becomes durable", async () => {
    const args = ["message", "stream", "--address", "default/probe/seen", "--count", "1"];
    const { child, ended } = start([...args, "-o", "json"]);
    await new Promise<void>((resolve) =>
      child.stderr.on("data", (chunk: Buffer) => {
        if (chunk.toString().includes("subscribed")) resolve();
      }),
    );
    await caxton("message", "send", "--to", "default/probe/seen", "--content", "self");
    const { code, stdout } = await ended;
    expect(code).toBe(EXIT.ok);
    expect(JSON.parse(stdout)).toMatchObject({
      message: { receiver: "default/probe/seen", content: "self" },
    });
    const resumed = await caxton("message", "stream", "--resume", "x");
    expect(resumed).toMatchObject({ code: EXIT.invalid });
  });

  test("-o name and columns by path", async () => {
    expect(await caxton("agent", "list", "-o", "name")).toMatchObject({
      ...{ code: EXIT.ok, stdout: "default/probe\n" },
    });
    const columns = "custom-columns=NAME:.name,PAGES:manifest.limits.memoryPagesMax,NONE:nothing";
    expect((await caxton("agent", "inspect", "probe", "-o", columns)).stdout).toBe(
      "NAME   PAGES  NONE\nprobe  256    -\n",
    );
  });

  test("a status has a colour, and --no-color has none", async () => {
    const colours = { FORCE_COLOR: "1" };
    const coloured = await start(["agent", "list"], "", colours).ended;
    expect(coloured.stdout).toContain("\x1b[32mrunning\x1b[39m");
    const plain = await start(["--no-color", "agent", "list"], "", colours).ended;
    expect(plain.stdout).toMatch(/^NAMESPACE [^\x1b]* running [^\x1b]*$/);
  });

  test("watching prints the answer, and then what changed", async () => {
    const args = ["actor", "list", "--agent", "probe", "--watch", "--interval", "20ms"];
    const { child, ended } = start(args);
    const chunks: string[] = [];
    const came = new Promise((resolve) =>
      child.stdout.on("data", (chunk: Buffer) => {
        chunks.push(chunk.toString());
        if (chunks.length === 1) start(["message", "ask", "--to", "default/probe/watched"]);
        if (chunk.toString().includes("default/probe/watched")) resolve(chunk);
      }),
    );
    await came;
    child.kill();
    await ended;
    expect(chunks[0]).toMatch(/^ADDRESS +STATUS/);
    expect(chunks.slice(1).join("")).toMatch(/^\+ default\/probe\/watched +\w+/m);
  });

  test("top prints once where there is no terminal", async () => {
    const { code, stdout } = await caxton("top", "--interval", "1ms");
    expect(code).toBe(EXIT.ok);
    expect(stdout).toMatch(/^\S+ {3}0\.1\.0 .*ready[^]*turns\/s \d[^]*^WORKER[^]*^AGENT[^]*probe/m);
    expect(await json("top", "--interval", "1ms")).toMatchObject({
      agents: [{ agent: "default/probe", status: "running" }],
      total: { partitions: [0, 1, 2, 3], ready: true },
    });
  });

  test("bash completes names from the server", async () => {
    await caxton("message", "ask", "--to", "default/probe/tabbed");
    const script = `eval "$("$0" completion bash)"
      COMP_WORDS=("$0" --endpoint "$1" message send --to default/probe/tab)
      COMP_CWORD=6
      _caxton "$0"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync("bash", ["-c", script, LAUNCHER, server.endpoint]);
    expect(stdout.toString()).toBe("default/probe/tabbed\n");
  });

  test("logs: what there is, then what comes", async () => {
    const say = (key: string, content: string) =>
      caxton("message", "ask", "--to", `default/probe/${key}`, "--content", content);
    const { child, ended } = start(["agent", "logs", "probe", "-f", "--actor", "logs"]);
    const first = new Promise((resolve) => child.stdout.once("data", resolve));
    await say("logs", "log 2 one");
    await first;
    await say("elsewhere", "console two");
    expect((await start(["agent", "logs", "probe", "--level", "warn"]).ended).stdout).toMatch(
      /^[\d-]{10} [\d:.]{12}Z warn {2}default\/probe\/logs one\n$/,
    );
    child.kill();
    expect((await ended).stdout).not.toContain("two");
    expect(await json("agent", "logs", "probe", "--tail", "1")).toMatchObject({
      address: "default/probe/elsewhere",
      level: "info",
      rolledBack: false,
    });
    expect(await caxton("agent", "logs", "nobody")).toMatchObject({ code: EXIT.notFound });
  });

  test("the tree and the node", async () => {
    expect((await caxton("supervisor", "tree")).stdout).toMatch(/^node [^]*probe/);
    expect((await caxton("node", "status", "-o", "wide")).stdout).toMatch(
      /ready: +yes[^]*PARTITION[^]*messageBytesMax +262144/,
    );
    expect(await json("health")).toEqual({ ready: true, notReady: [] });
    expect(await json("version")).toMatchObject({ server: { apiVersion: "caxton.v1" } });
  });
});

test("a support bundle has what a report needs, and nothing that is private", async () => {
  const path = join(folder, "bundle.tar.gz");
  const manifest = join(folder, "secretive.yaml");
  writeFileSync(
    manifest,
    "apiVersion: caxton/v1\nkind: Agent\nmetadata: {name: secretive}\nspec: {config: {token: tell-nobody}}\n",
  );
  await caxton("agent", "deploy", fixturePath("probe"), "--manifest", manifest);
  const secret = ["--to", "default/secretive/a", "--content", "put key tell-nobody-either"];
  await caxton("message", "send", ...secret);
  const { files } = (await json("support", "bundle", "--file", path)) as { files: string[] };
  const unpacked = await parseTarGzip(readFileSync(path));
  const texts = new Map(unpacked.map(({ name, text }) => [name.split("/")[1]!, text]));
  expect([...texts.keys()].sort()).toEqual(files);
  expect(files).toEqual([
    ...["agents.json", "config.json", "dead-letters.json", "machine.json", "metrics.txt"],
    ...["node.json", "server.log", "supervisor.json", "versions.json"],
  ]);
  expect(texts.get("agents.json")).toContain('"token"');
  expect(texts.get("metrics.txt")).toContain("caxton_ready 1");
  expect([...texts.values()].join("")).not.toContain("tell-nobody");
  expect(await caxton("support", "bundle", "--file", path)).toMatchObject({ code: EXIT.usage });
});

test("configuration: checked, shown, compared, read again", async () => {
  const file = join(folder, "caxton.yaml");
  writeFileSync(file, "limits: {messageBytesMx: 1}\n");
  const bad = await caxton("config", "validate", file);
  expect(bad.code).toBe(EXIT.invalid);
  expect(bad.stderr).toContain(
    'limits.messageBytesMx: unknown key (Did you mean "messageBytesMax"?)',
  );
  writeFileSync(file, "limits: {messageBytesMax: 1000}\nlog: {level: warn}\n");
  expect((await caxton("config", "validate", file)).stdout).toBe(`${file} is valid.\n`);
  const shown = await caxton("config", "show");
  expect(shown.stdout).toMatch(/^api\.rest\.port +0 +flag$/m);
  expect(shown.stdout).toMatch(/^limits\.messageBytesMax +262144 +default$/m);
  const { stdout } = await caxton("config", "diff", file);
  expect(stdout).toMatch(/^limits\.messageBytesMax +262144 +1000 +reload$/m);
  expect(stdout).toMatch(/^partitions\.count +4 +16 +restart$/m);
  expect(await json("config", "reload")).toEqual({ applied: [], needsRestart: [] });
  expect((await caxton("config", "docs")).stdout).toMatch(/^log\.level +"info" +CAXTON_LOG_LEVEL/m);
});

test("every command of the wire was run here", () => {
  const elsewhere = ["server", "storage", "agent init", "agent test"];
  const byBash = ["completion", "__complete"];
  const known = [...elsewhere, ...byBash];
  const leaves = (command: Command, path: string): string[] =>
    command.commands.length === 0
      ? [path]
      : command.commands.flatMap((inner) => leaves(inner, `${path} ${inner.name()}`.trim()));
  const expected = leaves(createProgram(), "").filter((path) => !known.includes(path));
  expect(
    expected.filter((path) => !given.some((line) => `${line} `.startsWith(`${path} `))),
  ).toEqual([]);
});

test("a refused manifest: every finding and the code for bad input", async () => {
  const manifest = join(folder, "bad.yaml");
  writeFileSync(manifest, "apiVersion: caxton/v1\nkind: Agent\nmetadata: {nme: x}\n");
  const { code, stderr } = await caxton(
    ...["agent", "deploy", fixturePath("echo"), "--manifest", manifest],
  );
  expect(code).toBe(EXIT.invalid);
  expect(stderr).toContain("metadata.name: is required");
  expect(stderr).toContain('metadata.nme: unknown key (Did you mean "name"?)');
});
