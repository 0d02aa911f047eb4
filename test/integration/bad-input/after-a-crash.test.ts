/** What a start finds: log lines that were written before, and actors held for what their message did. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ActorStatus } from "../../../src/gen/caxton/v1/actor.ts";
import { type ServerProcess, startServerProcess } from "../../support/server.ts";
import { bytes, fixtureModule, manifest, Wire } from "../../support/wire.ts";

const SETS = ["partitions.count=1", "limits.crashIntentsMax=1"];
/** Epoch, then that the message is about to be tried; the next append would bring what came of it. */
const DEADLY_APPEND = 3;
const STARTS_MAX = 20;

const folder = mkdtempSync(join(tmpdir(), "caxton-after-a-crash-"));
let server: ServerProcess;
let wire: Wire;

afterEach(async () => {
  wire.close();
  await server.dispose();
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function start(
  directory: string,
  { env = {}, sets = [] }: { env?: Record<string, string>; sets?: string[] } = {},
): Promise<void> {
  server = await startServerProcess({ directory, sets: [...SETS, ...sets], env });
  wire = new Wire(server.endpoint);
}

function send(receiver: string, text: string) {
  return wire.send({ receiver, contentType: "text/plain", content: bytes(text) });
}

async function actorAt(address: string) {
  const { actors } = wire;
  const answer = await wire.call(actors.getActor.bind(actors), { address });
  return answer.actor!;
}

test("replay writes no log lines: they were written when the turns ran", async () => {
  const directory = join(folder, "lines");
  const receiver = "default/probe/talks";
  const lines = () => server.log().filter((line) => line["actor"] === receiver);
  await start(directory);
  await wire.deploy(manifest("probe"), fixtureModule("probe"));
  for (const word of ["one", "two", "three"]) await wire.askText(receiver, `log 2 ${word}`);
  const words = () => lines().map(({ msg, rolledBack }) => [msg, rolledBack]);
  await expect.poll(words, { timeout: 10_000 }).toEqual([
    ["one", undefined],
    ["two", undefined],
    ["three", undefined],
  ]);
  wire.close();
  await server.kill("SIGKILL");

  await start(directory);
  await wire.askText(receiver, "log 2 four");
  await expect.poll(words, { timeout: 10_000 }).toEqual([["four", undefined]]);
  const { node } = wire;
  const { status } = await wire.call(node.getStatus.bind(node), {});
  expect(status!.partitions.map(({ turnsReplayed }) => turnsReplayed)).toEqual([3]);
});

test("a limit of the node that was lowered does not hold actors for what they did before", async () => {
  const directory = join(folder, "lowered");
  await start(directory);
  await wire.deploy(manifest("asker"), fixtureModule("asker"));
  await wire.deploy(manifest("echo"), fixtureModule("echo"));
  const nested = "default/asker/b 20000 default/echo/c 20000 deep";
  expect(await wire.askText("default/asker/a", nested)).toBe("deep");
  wire.close();
  await server.kill("SIGKILL");

  await start(directory, { sets: ["limits.askChainMax=1"] });
  expect(await wire.askText("default/asker/b", "default/echo/c 20000 again")).toBe("again");
  expect(await wire.askText("default/asker/a", nested)).toMatch(/^ASK_CHAIN_TOO_LONG: /);
});

describe("an actor that is held", () => {
  const HELD = "default/hostile/held";
  const directory = join(folder, "held");
  const hostile = { namespace: "default", name: "hostile", reason: "before the crash" };

  /** The process dies each time the result of the message would become durable, until that is noticed. */
  beforeAll(async () => {
    await start(directory);
    await wire.deploy(manifest("hostile"), fixtureModule("hostile"));
    for (let i = 1; i <= 3; i++) expect(await wire.askText(HELD, "handled")).toBe(`${i}`);
    const { agents } = wire;
    await wire.call(agents.suspendAgent.bind(agents), hostile);
    await send(HELD, "deadly");
    wire.close();
    await server.kill("SIGKILL");
    for (let starts = 0; starts < STARTS_MAX; starts++) {
      if (await survives()) return;
    }
    throw new Error("the actor never was held");
  });

  /** Starts a server that dies before the result is durable; true when it lives and holds the actor. */
  async function survives(): Promise<boolean> {
    try {
      const env = { CAXTON_FAULT_POINT: `log.before-append:${DEADLY_APPEND}` };
      await start(directory, { env });
    } catch (error) {
      expect(String(error)).toContain("signal SIGKILL");
      return false;
    }
    const { agents } = wire;
    // It may die of this call.
    await wire.call(agents.resumeAgent.bind(agents), hostile).catch(() => undefined);
    // It is held, or dies, once its memory is back.
    let actor = await actorAt(HELD).catch(() => undefined);
    while (actor !== undefined && actor.status !== ActorStatus.HELD) {
      expect(actor.turns).toBe(3);
      actor = await actorAt(HELD).catch(() => undefined);
    }
    wire.close();
    if (actor === undefined) {
      expect(await server.ended).toMatchObject({ signal: "SIGKILL" });
      return false;
    }
    await server.kill("SIGKILL");
    return true;
  }

  async function startCopy(name: string): Promise<void> {
    cpSync(directory, join(folder, name), { recursive: true });
    await start(join(folder, name));
    expect(await actorAt(HELD)).toMatchObject({
      status: ActorStatus.HELD,
      reason: expect.stringContaining("the process ended") as string,
    });
    const { deadLetters } = wire;
    const request = { namespace: "", agent: "", pageSize: 0, pageToken: "" };
    const letters = await wire.call(deadLetters.listDeadLetters.bind(deadLetters), request);
    expect(letters.deadLetters).toMatchObject([
      { code: "PROCESS_CRASH", message: { receiver: HELD } },
    ]);
    // It keeps what comes, and the others go on.
    await send(HELD, "anything");
    expect(await actorAt(HELD)).toMatchObject({ status: ActorStatus.HELD, mailboxMessages: 1 });
    expect(await wire.askText("default/hostile/other", "handled")).toBe("1");
  }

  test("released: it goes on with its memory and the messages that waited", async () => {
    await startCopy("released");
    const { actors } = wire;
    await wire.call(actors.releaseActor.bind(actors), { address: HELD });
    // Three before the crash, one that waited, this one.
    expect(await wire.askText(HELD, "handled")).toBe("5");
    expect((await actorAt(HELD)).status).toBe(ActorStatus.IDLE);
  });

  test("reset: it begins anew with the messages that waited", async () => {
    await startCopy("reset");
    const { actors } = wire;
    await wire.call(actors.resetActor.bind(actors), { address: HELD });
    expect(await wire.askText(HELD, "handled")).toBe("2");
    expect((await actorAt(HELD)).status).toBe(ActorStatus.IDLE);
  });
});
