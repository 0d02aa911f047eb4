/** What the log says of the past, through a real server and across a kill. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  TraceEffectKind,
  type TraceEvent,
  TraceEventKind,
  type TraceMessageResponse,
} from "../../src/gen/caxton/v1/message.ts";
import type { StateChange } from "../../src/gen/caxton/v1/state.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, refusal, Wire } from "../support/wire.ts";

const { ARRIVED, HANDLED, FAILED, DEAD_LETTERED } = TraceEventKind;

// Checkpoints all the time: what they make dispensable is kept.
const SETS = ["partitions.count=4", "workers.count=2", "snapshots.intervalMs=100"];

const directory = mkdtempSync(join(tmpdir(), "caxton-history-"));
let server: ServerProcess;
let wire: Wire;

beforeAll(async () => {
  server = await startServerProcess({ directory, sets: SETS });
  wire = new Wire(server.endpoint);
  await wire.deploy(
    manifest("probe", "{attemptsMax: 2, backoff: {initialMs: 1}}"),
    fixtureModule("probe"),
  );
});

afterAll(async () => {
  wire.close();
  await server.dispose();
  rmSync(directory, { recursive: true, force: true });
});

function trace(request: {
  conversationId?: string;
  messageId?: string;
}): Promise<TraceMessageResponse> {
  const { messages } = wire;
  const whole = { conversationId: "", messageId: "", timeoutMs: 0, ...request };
  return wire.call(messages.traceMessage.bind(messages), whole);
}

async function stateChanges(
  address: string,
  prefix: string,
  pageSize: number,
  pageToken = "",
): Promise<{ changes: StateChange[]; nextPageToken: string }> {
  const { state } = wire;
  const request = { address, prefix, pageSize, pageToken };
  return wire.call(state.listStateChanges.bind(state), request);
}

const content = (text: string) => ({ contentType: "text/plain", content: bytes(text) });

/** Kind, receiver and what is particular of each event. */
function told(events: readonly TraceEvent[]): unknown[] {
  return events.map((event) => {
    const { kind, receiver } = event;
    if (kind === ARRIVED) return [kind, receiver, Buffer.from(event.message!.content).toString()];
    if (kind === HANDLED) return [kind, receiver, ...event.effects.map((e) => [e.kind, e.name])];
    return [kind, receiver, event.code, event.attempts];
  });
}

describe("tracing a message", () => {
  // Both on one partition and on two, whichever comes first in the order of partitions.
  test.each(["b", "c", "d", "e", "f"])("an ask of %s, from end to end", async (key) => {
    const receiver = "default/probe/a";
    const other = `default/probe/${key}`;
    const conversationId = `talk-${key}`;
    const id = `ask-${key}`;
    const asked = `ask ${other} 5000 put colour blue`;
    await wire.ask({ receiver, id, client: "me", conversationId, ...content(asked) });
    const expected = [
      [ARRIVED, receiver, asked],
      [HANDLED, receiver, [TraceEffectKind.ASK, other]],
      [ARRIVED, other, "put colour blue"],
      [HANDLED, other, [TraceEffectKind.STATE_PUT, "colour"], [TraceEffectKind.REPLY, receiver]],
      [ARRIVED, receiver, "ok"],
      [HANDLED, receiver, [TraceEffectKind.REPLY, "me"]],
      [ARRIVED, "me", "reply ok"],
    ];
    const { events, complete } = await trace({ conversationId });
    expect(complete).toBe(true);
    expect(told(events)).toEqual(expected);
    expect(events[1]!.open).toBe(true);
    const [root, , child, , answer, , last] = events;
    expect([root!.causeId, child!.causeId, last!.causeId]).toEqual(["", id, answer!.messageId]);
    expect(answer!.causeId).toBe(child!.messageId);
    expect((await trace({ messageId: id })).events).toEqual(events);
    const inner = await trace({ messageId: child!.messageId });
    expect(told(inner.events)).toEqual(expected.slice(2));
  });

  test("attempts that failed, and the end", async () => {
    const receiver = "default/probe/fails";
    await refusal(wire.ask({ receiver, id: "doomed", ...content("fail why not") }));
    const { events } = await trace({ messageId: "doomed" });
    expect(told(events)).toEqual([
      [ARRIVED, receiver, "fail why not"],
      [FAILED, receiver, "AGENT_FAILED", 1],
      [FAILED, receiver, "AGENT_FAILED", 2],
      [DEAD_LETTERED, receiver, "AGENT_FAILED", 2],
    ]);
    expect(events[3]!.reason).toBe("why not");
  });

  test("a timer, and a reply that never came", async () => {
    const receiver = "default/probe/waits";
    await wire.ask({ receiver, id: "wait", client: "me", ...content("wait 7 1") });
    expect(told((await trace({ messageId: "wait" })).events)).toEqual([
      [ARRIVED, receiver, "wait 7 1"],
      [HANDLED, receiver, [TraceEffectKind.TIMER_SET, "7"]],
      [ARRIVED, receiver, "waited"],
      [HANDLED, receiver, [TraceEffectKind.REPLY, "me"]],
      [ARRIVED, "me", "timer 7"],
    ]);
    // The one that is asked waits longer than the asker.
    const slow = "ask default/probe/slow 500 wait 1 60000";
    await wire.ask({ receiver, id: "late", ...content(slow) });
    expect(told((await trace({ messageId: "late" })).events)).toEqual([
      [ARRIVED, receiver, slow],
      [HANDLED, receiver, [TraceEffectKind.ASK, "default/probe/slow"]],
      [ARRIVED, "default/probe/slow", "wait 1 60000"],
      [HANDLED, "default/probe/slow", [TraceEffectKind.TIMER_SET, "1"]],
      [ARRIVED, receiver, "no reply came before the deadline"],
      [HANDLED, receiver, [TraceEffectKind.REPLY, "client"]],
      [ARRIVED, "client", "failure ASK_TIMEOUT no reply came before the deadline"],
    ]);
  });

  test("long contents are cut off, and unknown ids find nothing", async () => {
    const text = `self ${"x".repeat(5000)}`;
    await wire.ask({ receiver: "default/probe/long", id: "long", ...content(text) });
    const { events } = await trace({ messageId: "long" });
    expect(events[0]).toMatchObject({ contentBytes: 5005 });
    expect(events[0]!.message!.content.length).toBe(1024);
    expect(await trace({ messageId: "nobody" })).toEqual({ events: [], complete: true });
  });

  test("neither or both ids are refused", async () => {
    const detail = { code: "INVALID_ARGUMENT", findings: [{ at: "conversation_id" }] };
    expect(await refusal(trace({}))).toMatchObject({ detail });
    const both = trace({ conversationId: "a", messageId: "b" });
    expect(await refusal(both)).toMatchObject({ detail });
  });
});

describe("the history of an actor's state", () => {
  const receiver = "default/probe/painter";
  const painted = async (text: string, id: string): Promise<void> => {
    await wire.ask({ receiver, id, client: "me", ...content(text) });
  };
  const short = ({ key, value, deleted, messageId }: StateChange) => {
    return [key, deleted ? undefined : Buffer.from(value).toString(), messageId];
  };

  test("every change with its message, in pages", async () => {
    await painted("put colour blue", "p1");
    await painted("put colour red", "p2");
    await painted("put shape round", "p3");
    await painted("delete colour", "p4");
    const all = [
      ["colour", "blue", "p1"],
      ["colour", "red", "p2"],
      ["shape", "round", "p3"],
      ["colour", undefined, "p4"],
    ];
    const { changes, nextPageToken } = await stateChanges(receiver, "", 0);
    expect([changes.map(short), nextPageToken]).toEqual([all, ""]);
    expect(changes[0]).toMatchObject({ sender: "me", performative: "request" });
    const first = await stateChanges(receiver, "", 3);
    const second = await stateChanges(receiver, "", 3, first.nextPageToken);
    expect([...first.changes, ...second.changes].map(short)).toEqual(all);
    expect([first.changes.length, second.nextPageToken]).toEqual([3, ""]);
    const shapes = await stateChanges(receiver, "sh", 0);
    expect(shapes.changes.map(short)).toEqual([all[2]]);
  });

  test("an unknown actor and a foreign token are refused", async () => {
    const unknown = await refusal(stateChanges("default/probe/nobody", "", 0));
    expect(unknown.detail?.code).toBe("ACTOR_NOT_FOUND");
    const foreign = await refusal(stateChanges(receiver, "", 0, "x"));
    expect(foreign.detail?.code).toBe("INVALID_ARGUMENT");
  });
});

test("a kill changes nothing of it", async () => {
  const before = [
    await trace({ conversationId: "talk-b" }),
    await stateChanges("default/probe/painter", "", 0),
  ];
  wire.close();
  await server.kill("SIGKILL");
  server = await startServerProcess({ directory, sets: SETS });
  wire = new Wire(server.endpoint);
  expect([
    await trace({ conversationId: "talk-b" }),
    await stateChanges("default/probe/painter", "", 0),
  ]).toEqual(before);
});
