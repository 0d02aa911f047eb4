/** Messages that are refused before acceptance: the mailbox and the actor stay as they were. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServerProcess, startServerProcess } from "../../support/server.ts";
import { bytes, fixtureModule, manifest, Wire } from "../../support/wire.ts";
import { expectRefused, Witness } from "./witness.ts";

const MAILBOX_MESSAGES_MAX = 3;

let server: ServerProcess;
let wire: Wire;
let witness: Witness;

beforeAll(async () => {
  server = await startServerProcess();
  wire = new Wire(server.endpoint);
  const limits = `{mailboxMessagesMax: ${MAILBOX_MESSAGES_MAX}, messageBytesMax: 1000}`;
  await wire.deploy(manifest("small", `{limits: ${limits}}`), fixtureModule("adder"));
  witness = await Witness.deploy(wire);
});

afterAll(async () => {
  wire.close();
  await server.dispose();
});

const JSON_TYPE = "application/json";

describe("a message that is refused changes nothing, sent or asked", () => {
  test.each([
    [
      "too large for the node",
      { receiver: "default/witness/kept", content: new Uint8Array(262_145) },
      "MESSAGE_TOO_LARGE",
      /262145 bytes; limits\.messageBytesMax is 262144/,
    ],
    [
      "too large for the agent",
      { receiver: "default/small/x", content: new Uint8Array(1001) },
      "MESSAGE_TOO_LARGE",
      /1001 bytes, limits\.messageBytesMax of default\/small is 1000/,
    ],
    [
      "content that contradicts its type: JSON",
      { receiver: "default/witness/kept", contentType: JSON_TYPE, content: bytes('{"a": }') },
      "INVALID_CONTENT",
      /not application\/json: Unexpected token '}'/,
    ],
    [
      "content that contradicts its type: text",
      {
        receiver: "default/witness/kept",
        contentType: "text/plain",
        content: Uint8Array.of(0x31, 0xc3, 0x28),
      },
      "INVALID_CONTENT",
      /not text\/plain: it is not UTF-8/,
    ],
    [
      "bad address: no key",
      { receiver: "default/witness/", content: bytes("1") },
      "INVALID_ADDRESS",
      /default\/witness\//,
    ],
    [
      "bad address: characters",
      { receiver: "Default/wit ness/kept", content: bytes("1") },
      "INVALID_ADDRESS",
      /Default\/wit ness\/kept/,
    ],
    [
      "bad address: a key beyond 256 bytes",
      { receiver: `default/witness/${"k".repeat(257)}`, content: bytes("1") },
      "INVALID_ADDRESS",
      /256/,
    ],
    [
      "unknown agent",
      { receiver: "default/witnes/kept", content: bytes("1") },
      "AGENT_NOT_FOUND",
      /default\/witnes/,
    ],
  ] as const)("%s", async (_name, message, code, why) => {
    await expectRefused(wire.send(message), code, why);
    await expectRefused(wire.ask(message), code, why);
    await witness.expectUnchanged();
  });
});

test("an agent's share of a partition is full of unhandled bytes: refused with a delay", async () => {
  const { agents } = wire;
  const limits = "{mailboxBytesMax: 3000, messageBytesMax: 2000}";
  await wire.deploy(manifest("light", `{limits: ${limits}}`), fixtureModule("adder"));
  const light = { namespace: "default", name: "light", reason: "to let bytes pile up" };
  await wire.call(agents.suspendAgent.bind(agents), light);
  const heavy = { receiver: "default/light/full", content: new Uint8Array(2000) };
  await wire.send(heavy);
  const error = await expectRefused(wire.send(heavy), "QUOTA_EXHAUSTED", /3000 unhandled bytes/);
  expect(error.detail!.retryable).toBe(true);
  await wire.send({ ...heavy, content: new Uint8Array(10) });
});

test("mailbox full: refused with a delay, what was accepted is kept in order", async () => {
  const { agents, actors } = wire;
  const receiver = "default/small/full";
  const number = (text: string) => ({
    receiver,
    id: `add-${text}`,
    contentType: "text/plain",
    content: bytes(text),
  });
  const small = { namespace: "default", name: "small", reason: "to let messages pile up" };
  await wire.call(agents.suspendAgent.bind(agents), small);
  for (let i = 1; i <= MAILBOX_MESSAGES_MAX; i++) await wire.send(number(String(i)));

  const error = await expectRefused(wire.send(number("100")), "MAILBOX_FULL", /3 unhandled/);
  expect(error.detail!.retryable).toBe(true);
  expect(error.detail!.retryAfterMs).toBeGreaterThan(0);
  await expectRefused(wire.ask(number("200")), "MAILBOX_FULL", /default\/small\/full/);
  // A repeat of what was accepted is no new message.
  expect(await wire.send(number("3"))).toMatchObject({ duplicate: true });
  const { actor } = await wire.call(actors.getActor.bind(actors), { address: receiver });
  expect(actor!.mailboxMessages).toBe(MAILBOX_MESSAGES_MAX);
  // Another actor of the agent has room.
  await wire.send({ ...number("7"), receiver: "default/small/other" });

  await wire.call(agents.resumeAgent.bind(agents), small);
  await expect.poll(() => wire.askText(receiver, "0"), { timeout: 10_000 }).toMatch(/^6 [4-9]$/);
  // What was refused can be sent again under the same id, now that there is room.
  expect(await wire.send(number("100"))).toMatchObject({ duplicate: false });
  expect(await wire.askText(receiver, "0")).toMatch(/^106 /);
});
