/** More actors than may have memory at once: the others leave, and come back as they were. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ActorStatus } from "../../src/gen/caxton/v1/actor.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { fixtureModule, manifest, Wire } from "../support/wire.ts";

const WORKERS = 2;
const RESIDENTS_MAX = 8;
const ACTORS = 30;

const directory = mkdtempSync(join(tmpdir(), "caxton-residents-"));
let server: ServerProcess;
let wire: Wire;

async function start(): Promise<void> {
  const sets = [`workers.count=${WORKERS}`, `limits.residentActorsMax=${RESIDENTS_MAX}`];
  server = await startServerProcess({ directory, sets });
  wire = new Wire(server.endpoint);
}

beforeAll(async () => {
  await start();
  for (const name of ["adder", "ticker"]) await wire.deploy(manifest(name), fixtureModule(name));
});

afterAll(async () => {
  wire.close();
  await server.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** Each actor adds 5 once more. */
async function round(number: number): Promise<void> {
  const answers = Array.from({ length: ACTORS }, (_, i) => wire.askText(`default/adder/${i}`, "5"));
  expect(await Promise.all(answers)).toEqual(
    Array.from({ length: ACTORS }, () => `${number * 5} ${number}`),
  );
}

async function residents(): Promise<number> {
  const filter = { namespace: "", agent: "", status: ActorStatus.UNSPECIFIED };
  const request = { ...filter, pageSize: 1000, pageToken: "" };
  const { actors } = await wire.call(wire.actors.listActors.bind(wire.actors), request);
  return actors.filter((actor) => actor.memoryBytes > 0).length;
}

async function replayed(): Promise<number> {
  const { status } = await wire.call(wire.node.getStatus.bind(wire.node), {});
  return status!.partitions.reduce((sum, partition) => sum + partition.turnsReplayed, 0);
}

test("every actor goes on from where it was, while few have memory", async () => {
  for (let number = 1; number <= 4; number++) await round(number);
  // They come back from images: nothing is run again.
  expect(await replayed()).toBe(0);
  for (let i = 0; i < ACTORS; i++) await wire.askText(`default/adder/other-${i}`, "1");
  expect(await residents()).toBeLessThanOrEqual(RESIDENTS_MAX);
  await round(5);
});

test("an open handler survives that its actor leaves", async () => {
  const waited = wire.askText("default/ticker/x", "wait 1 500");
  for (let i = 0; i < ACTORS; i++) await wire.askText(`default/adder/other-${i}`, "1");
  expect(await waited).toBe("waited");
  expect(await wire.askText("default/ticker/x", "")).toBe("1:waited");
});

test("a start warms no more actors than may have memory", async () => {
  await server.kill("SIGKILL");
  wire.close();
  await start();
  await round(6);
  for (let i = 0; i < ACTORS; i++) await wire.askText(`default/adder/other-${i}`, "1");
  expect(await residents()).toBeLessThanOrEqual(RESIDENTS_MAX);
});
