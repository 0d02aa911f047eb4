import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CaxtonError, type CaxtonClient, connect } from "../../sdk/client-ts/index.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { fixtureModule, manifest } from "../support/wire.ts";

const ROOT = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "caxton-client-"));

let server: ServerProcess;
let caxton: CaxtonClient;

function deploy(name: string, spec?: string) {
  const source = { $case: "module" as const, value: fixtureModule("adder") };
  return caxton.deploy({ manifest: manifest(name, spec), source });
}

async function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

beforeAll(async () => {
  server = await startServerProcess({ directory: join(folder, "data") });
  caxton = connect({ endpoint: server.endpoint, client: "tests" });
  await deploy("adder");
});

afterAll(async () => {
  caxton.close();
  await server.dispose();
  rmSync(folder, { recursive: true });
});

test("send, ask, and what a repeated id gets", async () => {
  const to = "default/adder/basic";
  const first = await caxton.send(to, "2");
  expect(first).toMatchObject({ duplicate: false });
  expect(await caxton.send(to, "2", { id: first.id })).toMatchObject({ duplicate: true });
  const reply = await caxton.ask(to, "3", { id: "three" });
  expect(reply).toMatchObject({ text: "5 2", duplicate: false, message: { sender: to } });
  expect(await caxton.ask(to, "3", { id: "three" })).toMatchObject({
    text: "5 2",
    duplicate: true,
  });
});

test("every service, with requests that leave fields out", async () => {
  await caxton.ask("default/adder/managed", "1");
  const { actors } = await caxton.actors.listActors({ agent: "adder" });
  expect(actors.map(({ address }) => address)).toContain("default/adder/managed");
  const { entry } = await caxton.state.getState({ address: "default/adder/managed", key: "total" });
  expect(Buffer.from(entry!.value).toString()).toBe("1 1");
  expect(await caxton.agents.getAgent({ namespace: "default", name: "adder" })).toMatchObject({
    agent: { name: "adder" },
  });
  expect((await caxton.node.getStatus({})).status).toMatchObject({ ready: true });
  expect((await caxton.supervisor.getTree({})).root?.children).not.toEqual([]);
  expect(await caxton.deadLetters.listDeadLetters({})).toMatchObject({ deadLetters: [] });
});

test("a failure has code, hint, findings and trace", async () => {
  const absent = await failure(caxton.agents.getAgent({ namespace: "default", name: "absent" }));
  expect(absent).toBeInstanceOf(CaxtonError);
  expect(absent).toMatchObject({
    ...{ code: "AGENT_NOT_FOUND", status: "NOT_FOUND", retryable: false, isAnswer: true },
    hint: expect.stringContaining("caxton agent list"),
    traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
  expect(await failure(caxton.deploy({ manifest: "kind: Agent" }))).toMatchObject({
    code: "INVALID_ARGUMENT",
    findings: [{ at: "module" }],
  });
  const nowhere = connect({ endpoint: "127.0.0.1:1", attemptsMax: 2 });
  expect(await failure(nowhere.send("a/b", "x"))).toMatchObject({
    ...{ code: "UNAVAILABLE", isAnswer: false, retryable: true },
  });
  nowhere.close();
});

test("what is refused for now is sent again until it is taken", async () => {
  await deploy("narrow", "{limits: {mailboxMessagesMax: 1}}");
  const narrow = { namespace: "default", name: "narrow" };
  await caxton.agents.suspendAgent(narrow);
  await caxton.send("default/narrow/x", "1");
  const impatient = connect({ endpoint: server.endpoint, attemptsMax: 1 });
  expect(await failure(impatient.send("default/narrow/x", "2"))).toMatchObject({
    ...{ code: "MAILBOX_FULL", status: "RESOURCE_EXHAUSTED", retryable: true },
  });
  impatient.close();
  const asked = caxton.ask("default/narrow/x", "2");
  await caxton.agents.resumeAgent(narrow);
  expect(await asked).toMatchObject({ text: "3 2" });
});

test("a subscription begins, gives what comes, and ends with the loop", async () => {
  const events = caxton.subscribe({ address: "default/adder/seen" });
  await events.opened;
  await caxton.send("default/adder/seen", "7", { conversationId: "c1" });
  const seen: unknown[] = [];
  for await (const { message } of events) {
    seen.push(message);
    break;
  }
  expect(seen).toMatchObject([
    { receiver: "default/adder/seen", sender: "tests", conversationId: "c1" },
  ]);
});

test("closing ends what is under way", async () => {
  const { endpoint } = server;
  const closed = connect({ endpoint });
  const events = closed.subscribe({});
  await events.opened;
  await caxton.agents.suspendAgent({ namespace: "default", name: "narrow" });
  const asked = failure(closed.ask("default/narrow/later", "1"));
  const reading = failure(events[Symbol.asyncIterator]().next());
  closed.close();
  expect(await asked).toMatchObject({ code: "CANCELLED" });
  expect(await reading).toMatchObject({ code: "CANCELLED" });
});

test("asks go on over kill -9 and a restart, each once", async () => {
  const to = "default/adder/survivor";
  let asked = 0;
  let isOver = false;
  const asking = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      asked++;
      await caxton.ask(to, "1");
    }
  });
  await caxton.ask(to, "0");
  await server.kill("SIGKILL");
  const { directory, grpcPort } = server;
  server = await startServerProcess({ directory, sets: [`api.grpc.port=${grpcPort}`] });
  await caxton.ask(to, "0");
  isOver = true;
  await Promise.all(asking);
  const { text } = await caxton.ask(to, "0");
  expect(text).toBe(`${asked} ${asked + 3}`);
});

test("a subscription goes on over kill -9 and a restart: nothing is missed or doubled", async () => {
  const events = caxton.subscribe({ address: "default/adder" });
  await events.opened;
  const sent: string[] = [];
  const send = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const { id } = await caxton.send(`default/adder/watched${i % 5}`, "1");
      sent.push(id);
    }
  };
  // The first ones may come before the node knows where it stands.
  await send(1);
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { message } of events) {
      seen.push(message!.id);
      if (seen.length === 41) return;
    }
  })();
  await expect.poll(() => seen.length).toBe(1);
  await send(20);
  await expect.poll(() => seen.length).toBeGreaterThan(1);
  await server.kill("SIGKILL");
  const { directory, grpcPort } = server;
  server = await startServerProcess({ directory, sets: [`api.grpc.port=${grpcPort}`] });
  await send(20);
  await reading;
  expect(seen.sort()).toEqual(sent.sort());
});

test("the package is built of the same sources and stands alone", () => {
  const dist = join(folder, "dist");
  execFileSync("tsc", ["-p", "sdk/client-ts", "--noCheck", "--outDir", dist], { cwd: ROOT });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), `{"type": "module"}`);
  const program = `
    import { connect } from "./dist/sdk/client-ts/index.js";
    const caxton = connect({ endpoint: process.argv[1] });
    console.log((await caxton.ask("default/adder/packed", "4")).text);
    caxton.close();`;
  const args = ["--input-type=module", "--eval", program, server.endpoint];
  expect(execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8" })).toBe("4 1\n");
});
