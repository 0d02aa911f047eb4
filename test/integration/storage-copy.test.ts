/** `caxton storage copy`: how a node goes over to the other storage engine, and back. */
import { spawnSync } from "node:child_process";
import { afterAll, afterEach, expect, test } from "vitest";
import { EXIT } from "../../src/base/exit-codes.ts";
import { LAUNCHER, type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, Wire } from "../support/wire.ts";
import { removeFolders, temporaryFolder } from "./nats/support.ts";

const ACTORS = Array.from({ length: 12 }, (_, i) => `default/adder/a${i}`);
const SENDS = 60;

const running: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});
afterAll(removeFolders);

type Engine = "embedded" | "jetstream";

async function start(engine: Engine, directory: string): Promise<[ServerProcess, Wire]> {
  // Checkpoints and trimming go on meanwhile, so that logs do not begin at 1.
  const sets = [
    `storage.engine=${engine}`,
    "snapshots.turnsMax=100",
    "snapshots.intervalMs=100",
    "retention.logMs=0",
  ];
  const server = await startServerProcess({ directory, sets });
  running.push({ stop: () => server.dispose() });
  return [server, new Wire(server.endpoint)];
}

async function stop(server: ServerProcess, wire: Wire): Promise<void> {
  wire.close();
  expect(await server.kill("SIGTERM")).toMatchObject({ code: EXIT.ok });
}

function copy(from: Engine, directory: string, to: Engine, toDirectory: string) {
  const sets = ["partitions.count=4", `storage.directory=${directory}`];
  const setArgs = sets.flatMap((set) => ["--set", set]);
  const args = ["--from", from, "--to", to, "--to-directory", toDirectory, ...setArgs];
  const { status, stdout, stderr } = spawnSync(LAUNCHER, ["storage", "copy", ...args], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

async function add(wire: Wire, prefix: string): Promise<void> {
  for (let i = 0; i < SENDS; i++) {
    const receiver = ACTORS[i % ACTORS.length]!;
    const content = bytes(String(i));
    await wire.send({ receiver, id: `${prefix}-${i}`, contentType: "text/plain", content });
  }
}

const sums = (wire: Wire): Promise<string[]> =>
  Promise.all(ACTORS.map((actor) => wire.askText(actor, "0")));

test("to JetStream and back: agents, state, and what clients had sent", async () => {
  const [first, second, third] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const [server, wire] = await start("embedded", first);
  await wire.deploy(manifest("adder"), fixtureModule("adder"));
  await add(wire, "first");
  const before = await sums(wire);
  await stop(server, wire);
  const there = copy("embedded", first, "jetstream", second);
  expect(there.stderr).toBe("");
  expect(there.stdout).toMatch(/^copied and compared: 4 partitions, [1-9]\d* frames/);
  const [onNats, natsWire] = await start("jetstream", second);
  // Sent again they are known, as their ids were copied too.
  await add(natsWire, "first");
  const between = await sums(natsWire);
  expect(between.map(valueOf)).toEqual(before.map(valueOf));
  await add(natsWire, "second");
  const after = await sums(natsWire);
  await stop(onNats, natsWire);
  expect(copy("jetstream", second, "embedded", third)).toMatchObject({ status: 0, stderr: "" });
  const [back, backWire] = await start("embedded", third);
  expect((await sums(backWire)).map(valueOf)).toEqual(after.map(valueOf));
  await stop(back, backWire);
});

/** The adder answers its sum and how often it was asked. */
const valueOf = (answer: string): string => answer.split(" ")[0]!;

test("a directory in use, one that was not left in order, and a target that holds data are refused", async () => {
  const [directory, other] = [temporaryFolder(), temporaryFolder()];
  const [server, wire] = await start("embedded", directory);
  await wire.deploy(manifest("adder"), fixtureModule("adder"));
  const inUse = copy("embedded", directory, "jetstream", other);
  expect(inUse).toMatchObject({ status: EXIT.conflict, stdout: "" });
  expect(inUse.stderr).toContain("code: STORAGE_LOCKED");
  wire.close();
  await server.kill("SIGKILL");
  const unclean = copy("embedded", directory, "jetstream", other);
  expect(unclean.stderr).toContain("not left by a clean stop");
  const [again, againWire] = await start("embedded", directory);
  await stop(again, againWire);
  expect(copy("embedded", directory, "jetstream", other)).toMatchObject({ status: 0 });
  const full = copy("embedded", directory, "jetstream", other);
  expect(full.stderr).toContain("The target is not empty");
  expect(full.status).not.toBe(0);
});
