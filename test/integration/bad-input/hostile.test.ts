/** Agents that misbehave: the turn leaves nothing behind, and nobody else notices. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ActorStatus } from "../../../src/gen/caxton/v1/actor.ts";
import { AgentStatus } from "../../../src/gen/caxton/v1/agent.ts";
import type { DeadLetter } from "../../../src/gen/caxton/v1/dead_letter.ts";
import { type ServerProcess, startServerProcess } from "../../support/server.ts";
import {
  agentBuilder,
  br,
  bulk,
  global,
  i32,
  loop,
  ModuleBuilder,
  OPS,
  VOID,
} from "../../support/wasm-builder.ts";
import { bytes, fixtureModule, manifest, Wire } from "../../support/wire.ts";
import { expectRefused, Witness } from "./witness.ts";

const MAILBOX_MESSAGES_MAX = 50;
const TABLE_MAX = 3000;
const PAGES_MAX = 32;
const FUEL_BEYOND_ALL_TIME = 1_000_000_000_000;

let server: ServerProcess;
let wire: Wire;
let witness: Witness;

beforeAll(async () => {
  server = await startServerProcess({ sets: ["storage.sizeBytesMax=268435456"] });
  wire = new Wire(server.endpoint);
  await deployHostile("hostile", "supervision: {restartsMax: 1000}");
  await wire.deploy(manifest("echo"), fixtureModule("echo"));
  const limits = `{limits: {tableElementsMax: ${TABLE_MAX}}}`;
  await wire.deploy(manifest("table-grower", limits), fixtureModule("table-grower"));
  witness = await Witness.deploy(wire);
});

afterAll(async () => {
  wire.close();
  await server.dispose();
});

async function deployHostile(name: string, spec = "", limits = ""): Promise<void> {
  const all = [
    `memoryPagesMax: ${PAGES_MAX}`,
    "fuelPerMessage: 5000000",
    "callDepthMax: 500",
    "stateBytesMax: 100000",
    "timersMax: 100",
    "asksPendingMax: 10",
    `mailboxMessagesMax: ${MAILBOX_MESSAGES_MAX}`,
    ...(limits === "" ? [] : [limits]),
  ];
  const rest = spec === "" ? "attemptsMax: 1" : `attemptsMax: 1, ${spec}`;
  await wire.deploy(manifest(name, `{${rest}, limits: {${all.join(", ")}}}`), HOSTILE);
}

const HOSTILE = fixtureModule("hostile");

const text = (receiver: string, content: string) => ({
  receiver,
  contentType: "text/plain",
  content: bytes(content),
});

async function deadLettersOf(agent: string): Promise<DeadLetter[]> {
  const { deadLetters } = wire;
  const request = { namespace: "default", agent, pageSize: 1000, pageToken: "" };
  const answer = await wire.call(deadLetters.listDeadLetters.bind(deadLetters), request);
  return answer.deadLetters;
}

async function agentCalled(name: string) {
  const { agents } = wire;
  const answer = await wire.call(agents.getAgent.bind(agents), { namespace: "default", name });
  return answer.agent!;
}

async function actorAt(address: string) {
  const { actors } = wire;
  const answer = await wire.call(actors.getActor.bind(actors), { address });
  return answer.actor!;
}

describe("what an agent does without end is stopped, and leaves nothing behind", () => {
  test.each([
    ["loops", "loop", "FUEL_EXHAUSTED", /5000000/],
    ["recurses", "recurse", "CALL_DEPTH_EXCEEDED", /500/],
    ["emits effects", "emit", "EFFECTS_TOO_LARGE", /524288/],
    ["sends", "send", "EFFECTS_TOO_LARGE", /524288/],
    ["logs", "log", "FUEL_EXHAUSTED", /fuel/],
    ["fills its state", "state", "STATE_TOO_LARGE", /100000/],
    ["sets timers", "timers", "OVERLOADED", /100 timers/],
    ["asks", "asks", "OVERLOADED", /10 replies/],
    ["points outside memory with a send", "pointer-send", "HOST_CALL_INVALID", /outside memory/],
    ["points outside memory with a log", "pointer-log", "HOST_CALL_INVALID", /outside memory/],
    ["points outside memory with state", "pointer-state", "HOST_CALL_INVALID", /outside memory/],
  ] as const)("%s", async (_name, verb, code, why) => {
    const receiver = `default/hostile/${verb}`;
    expect(await wire.askText(receiver, "handled")).toBe("1");
    await expectRefused(wire.askText(receiver, verb), code, why);
    expect(await wire.askText(receiver, "handled")).toBe("2");
    const actor = await actorAt(receiver);
    expect(actor).toMatchObject({ stateKeys: 0, timers: 0, mailboxMessages: 0 });
    const letters = (await deadLettersOf("hostile")).filter(
      ({ message }) => message!.receiver === receiver,
    );
    expect(letters).toEqual([expect.objectContaining({ code, attempts: 1 })]);
    await witness.expectUnchanged();
  });

  test("returns a place outside memory for its next message", async () => {
    await wire.deploy(manifest("misplacing", "{attemptsMax: 1}"), misplacing());
    await witness.remember();
    const message = { receiver: "default/misplacing/x", content: bytes("1") };
    await expectRefused(wire.ask(message), "NO_REPLY", /without a reply/);
    await expectRefused(wire.ask(message), "HOST_CALL_INVALID", /caxton_alloc.*outside memory/);
    const { turns, mailboxMessages } = await actorAt(message.receiver);
    expect({ turns, mailboxMessages }).toEqual({ turns: 1, mailboxMessages: 0 });
    expect(await deadLettersOf("misplacing")).toMatchObject([{ code: "HOST_CALL_INVALID" }]);
    await witness.expectUnchanged();
  });

  test("grows memory: it gets its limit and no more", async () => {
    expect(await wire.askText("default/hostile/memory", "memory")).toBe(String(PAGES_MAX));
    const { memoryBytes } = await actorAt("default/hostile/memory");
    expect(memoryBytes).toBeLessThanOrEqual(PAGES_MAX * 65_536);
    await witness.expectUnchanged();
  });

  test("grows a table: it gets its limit and no more", async () => {
    const { reply } = await wire.ask(text("default/table-grower/x", "grow"));
    const elements = Buffer.from(reply!.content).readUInt32LE(0);
    expect(elements).toBeLessThanOrEqual(TABLE_MAX);
    expect(elements).toBeGreaterThan(TABLE_MAX - 1000);
    await witness.expectUnchanged();
  });
});

/** Replies nothing; after its first message it wants the next one behind its memory. */
function misplacing(): Uint8Array {
  const builder = new ModuleBuilder();
  builder.memory(1);
  builder.export("memory", 2, 0);
  const place = builder.global("i32", true, i32(1024));
  builder.function({
    params: ["i32"],
    results: ["i32"],
    body: global.get(place),
    exported: "caxton_alloc",
  });
  builder.function({
    params: ["i32", "i32"],
    results: ["i32"],
    body: [...i32(-4), ...global.set(place), ...i32(0)],
    exported: "caxton_handle",
  });
  return builder.build();
}

describe("floods", () => {
  test("of itself: the mailbox stops them, then its supervision", async () => {
    await deployHostile("flooding", "supervision: {restartsMax: 20}");
    await witness.remember();
    await wire.send(text("default/flooding/x", "flood"));
    const state = async () => {
      await witness.expectActorUnchanged();
      expect((await actorAt("default/flooding/x")).mailboxMessages).toBeLessThanOrEqual(
        MAILBOX_MESSAGES_MAX + 1,
      );
      return (await agentCalled("flooding")).status;
    };
    await expect.poll(state, { timeout: 30_000 }).toBe(AgentStatus.SUSPENDED);
    const { reason } = await agentCalled("flooding");
    expect(reason).toMatch(/default\/flooding\/x failed 21 times in 60 s, last: MAILBOX_FULL/);
    const codes = (await deadLettersOf("flooding")).map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(["MAILBOX_FULL"]));
  });

  test("of a partner: what finds its mailbox full is a dead letter, and others are served", async () => {
    await deployHostile("partners");
    await witness.remember();
    // In partitions of their own, if only one of them is.
    const partners = ["a", "b", "c", "d"].map((key) => `default/partners/${key}`);
    await wire.send(text(partners[0]!, `partner ${partners[1]!}`));
    await wire.send(text(partners[2]!, `partner ${partners[3]!}`));
    await expect
      .poll(() => deadLettersOf("partners"), { timeout: 30_000 })
      .toContainEqual(expect.objectContaining({ code: "MAILBOX_FULL" }));
    for (let i = 0; i < 10; i++) {
      expect(await wire.askText(`default/echo/${i}`, `${i}`)).toBe(`${i}`);
    }
    for (const partner of partners) {
      const { mailboxMessages } = await actorAt(partner);
      expect(mailboxMessages).toBeLessThanOrEqual(MAILBOX_MESSAGES_MAX);
    }
    const { agents } = wire;
    const named = { namespace: "default", name: "partners", reason: "" };
    await wire.call(agents.deleteAgent.bind(agents), named);
    await witness.expectActorUnchanged();
  });
});

describe("the time limit", () => {
  /** Fills a hundred pages over and over; fuel would let it go on for hours. */
  function filler(): Uint8Array {
    const fill = [...i32(0), ...i32(1), ...i32(6_553_600), ...bulk(11, 0)];
    return handling([...i32(99), ...OPS.memoryGrow, ...OPS.drop, ...loop(VOID, fill, br(0))]);
  }

  function handling(body: readonly number[]): Uint8Array {
    return agentBuilder([...body, ...i32(0)]).build();
  }

  test.each([
    ["a plain loop", () => handling(loop(VOID, br(0)))],
    ["a loop of bulk operations", filler],
  ])("%s is ended and the other actors of its worker go on", async (_name, make) => {
    const limits = `{fuelPerMessage: ${FUEL_BEYOND_ALL_TIME}, turnTimeoutMs: 300}`;
    await wire.deploy(manifest("endless", `{attemptsMax: 1, limits: ${limits}}`), make(), true);
    await witness.remember();
    const hanging = wire.ask({ receiver: "default/endless/x", content: bytes("") });
    const others = Array.from({ length: 20 }, (_, i) => wire.askText(`default/echo/${i}`, `${i}`));
    await expectRefused(hanging, "TURN_TIMEOUT", /longer than 300 ms/);
    expect(await Promise.all(others)).toEqual(others.map((_, i) => `${i}`));
    await witness.expectUnchanged();
  });
});

test("log lines of a turn that was rolled back say so", async () => {
  const receiver = "default/hostile/talks";
  await expectRefused(wire.askText(receiver, "log"), "FUEL_EXHAUSTED", /fuel/);
  const lines = () => server.log().filter((line) => line["actor"] === receiver);
  await expect.poll(lines, { timeout: 10_000 }).not.toEqual([]);
  for (const line of lines()) expect(line).toMatchObject({ msg: "more", rolledBack: true });
});

describe("supervision", () => {
  test("an actor that fails too often suspends its agent; resume brings it back with its messages", async () => {
    await deployHostile("fragile", "supervision: {restartsMax: 2}");
    await witness.remember();
    const receiver = "default/fragile/x";
    expect(await wire.askText(receiver, "handled")).toBe("1");
    for (let i = 0; i < 3; i++) await wire.send(text(receiver, "trap"));
    const status = async () => (await agentCalled("fragile")).status;
    await expect.poll(status, { timeout: 10_000 }).toBe(AgentStatus.SUSPENDED);
    expect((await agentCalled("fragile")).reason).toMatch(
      /^default\/fragile\/x failed 3 times in 60 s, last: AGENT_TRAPPED: /,
    );

    const waiting = wire.askText(receiver, "handled");
    await expect.poll(async () => (await actorAt(receiver)).mailboxMessages).toBe(1);
    const { agents } = wire;
    const named = { namespace: "default", name: "fragile" };
    await wire.call(agents.resumeAgent.bind(agents), named);
    expect(await waiting).toBe("2");
    expect(await status()).toBe(AgentStatus.RUNNING);
    expect((await actorAt(receiver)).status).toBe(ActorStatus.IDLE);
    expect((await deadLettersOf("fragile")).map(({ code }) => code)).toEqual([
      "AGENT_TRAPPED",
      "AGENT_TRAPPED",
      "AGENT_TRAPPED",
    ]);
  });

  test("dead letters that are retried take effect once their reason is gone", async () => {
    await deployHostile("crowded");
    const { agents, deadLetters } = wire;
    const receiver = "default/crowded/x";
    const named = { namespace: "default", name: "crowded", reason: "a crowd is coming" };
    await wire.call(agents.suspendAgent.bind(agents), named);
    await wire.send(text("default/hostile/crowd", `fill ${receiver}`));
    const tooMany = 100 - MAILBOX_MESSAGES_MAX;
    const letters = () => deadLettersOf("crowded");
    await expect.poll(async () => (await letters()).length, { timeout: 10_000 }).toBe(tooMany);
    for (const letter of await letters()) expect(letter.code).toBe("MAILBOX_FULL");

    await wire.call(agents.resumeAgent.bind(agents), named);
    const handled = async () => (await actorAt(receiver)).turns;
    await expect.poll(handled, { timeout: 10_000 }).toBe(MAILBOX_MESSAGES_MAX);
    const [first, second, ...others] = await letters();
    for (const letter of [first!, second!]) {
      await wire.call(deadLetters.retryDeadLetter.bind(deadLetters), { id: letter.id });
    }
    await expect.poll(handled, { timeout: 10_000 }).toBe(MAILBOX_MESSAGES_MAX + 2);
    expect(await letters()).toEqual(others);
  });
});
