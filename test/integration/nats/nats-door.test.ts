/** Plain NATS clients before a node: what they send is handled once and in order, what they ask is answered. */
import { connect as connectSocket } from "node:net";
import { jetstream, jetstreamManager, type JetStreamClient } from "@nats-io/jetstream";
import { headers, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  connectAs,
  type DoorNode,
  newDirectory,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import type { Message } from "../../../src/actors/index.ts";
import type { NatsServer } from "../../support/nats-servers.ts";
import { until } from "../../support/until.ts";

const PARTITIONS = 16;
const SEND_STREAM = "CAXTON_test_SEND";

const directory = newDirectory();
let server: NatsServer;
let node: DoorNode;
let client: NatsConnection;
let js: JetStreamClient;

beforeAll(async () => {
  server = await startDoorServer();
  node = await startDoorNode({ directory: directory.path, server, partitions: PARTITIONS });
  for (const name of ["adder", "echo", "probe", "sequence"]) await node.deploy(name);
  client = await connectAs(server, "client");
  js = jetstream(client);
});

afterAll(async () => {
  await client.close();
  await node.stop();
  await server.dispose();
  directory.remove();
});

function headersOf(values: Readonly<Record<string, string>>): MsgHdrs {
  const result = headers();
  for (const [name, value] of Object.entries(values)) result.set(name, value);
  return result;
}

const TEXT = { "Content-Type": "text/plain" };

function ask(address: string, content: string, more: Record<string, string> = {}): Promise<Msg> {
  const options = { timeout: 20_000, headers: headersOf({ ...TEXT, ...more }) };
  return client.request(`caxton.v1.ask.${address}`, content, options);
}

/** What a client does while its server is away: it tries again, with the same id. */
async function whenBack<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function stateOf(address: string, key: string): Promise<string | undefined> {
  try {
    const { value } = await node.kernel.actors.getState(address, key);
    return Buffer.from(value).toString();
  } catch {
    return undefined;
  }
}

describe("sending", () => {
  test("what is published is handled, once for each id", async () => {
    for (let i = 0; i < 3; i++) {
      await js.publish("caxton.v1.send.default.adder.sum", "5", {
        headers: headersOf({ "Nats-Msg-Id": "the-five" }),
      });
    }
    await js.publish("caxton.v1.send.default.adder.sum", "7");
    await until(async () => (await stateOf("default/adder/sum", "total")) === "12 2");
  });

  test("an id is known after JetStream has forgotten it", async () => {
    const send = (id: string) =>
      js.publish("caxton.v1.send.default.adder.again", "5", {
        headers: headersOf({ "Nats-Msg-Id": id }),
        timeout: 500,
      });
    await send("one");
    await until(async () => (await stateOf("default/adder/again", "total")) === "5 1");
    const manager = await connectAs(server, "node");
    const jsm = await jetstreamManager(manager);
    await until(async () => (await jsm.streams.info(SEND_STREAM)).state.messages === 0);
    await manager.close();
    await server.restart();
    const repeated = await whenBack(() => send("one"));
    expect(repeated.duplicate).toBe(false);
    await send("two");
    await until(async () => (await stateOf("default/adder/again", "total")) === "10 2");
  });
});

describe("messages that can't be taken", () => {
  test.each([
    ["default.nobody.x", "AGENT_NOT_FOUND", {}],
    ["Default.adder.x", "INVALID_ADDRESS", {}],
    ["default.adder.~zz", "INVALID_ADDRESS", {}],
    ["default.adder.x", "INVALID_ARGUMENT", { "Caxton-Performative": "Not One" }],
    ["default.adder.x", "INVALID_CONTENT", { "Content-Type": "application/json" }],
  ])("%s becomes a dead letter, and who wants to know is told: %s", async (address, code, more) => {
    const inbox = client.subscribe("caxton.v1.errors.mine");
    const letters = client.subscribe("caxton.v1.events.dead-letter");
    await client.flush();
    const id = `bad ${address} ${code}`.replaceAll(" ", "-");
    await js.publish(`caxton.v1.send.${address}`, "{", {
      headers: headersOf({
        "Nats-Msg-Id": id,
        "Caxton-Error-To": "caxton.v1.errors.mine",
        ...more,
      }),
    });
    const [error, letter] = await Promise.all([firstOf(inbox), firstOf(letters)]);
    const subject = `caxton.v1.send.${address}`;
    expect(error.json()).toMatchObject({ code, subject, id, retryable: false });
    expect(error.json<{ hint: string }>().hint).not.toBe("");
    expect(letter.string()).toBe("{");
    expect(letter.headers?.get("Caxton-Error-Code")).toBe(code);
    expect(letter.headers?.get("Caxton-Subject")).toBe(subject);
    expect(letter.headers?.get("Nats-Msg-Id")).toBe(id);
  });

  test("a message that is too large", async () => {
    const inbox = client.subscribe("caxton.v1.errors.large");
    await js.publish("caxton.v1.send.default.echo.x", new Uint8Array(300 * 1024), {
      headers: headersOf({ "Caxton-Error-To": "caxton.v1.errors.large" }),
    });
    expect((await firstOf(inbox)).json()).toMatchObject({ code: "MESSAGE_TOO_LARGE" });
  });

  test.each(["", "x"])("headers that are none are refused, with content '%s'", async (content) => {
    const letters = client.subscribe("caxton.v1.events.dead-letter");
    await client.flush();
    const subject = "caxton.v1.send.default.echo.malformed";
    const head = "NATS/1.0\r\nno name: x\r\n\r\n";
    await publishRaw(
      `HPUB ${subject} ${head.length} ${head.length + content.length}\r\n${head}${content}\r\n`,
    );
    const letter = await firstOf(letters);
    expect(letter.headers?.get("Caxton-Error-Code")).toBe("INVALID_ARGUMENT");
    expect(letter.headers?.get("Caxton-Subject")).toBe(subject);
    const seen = messagesTo("default/echo/malformed");
    await js.publish(subject, "after it");
    expect(Buffer.from((await seen).content).toString()).toBe("after it");
  });

  test("an acknowledgement can't be led into what only nodes write", async () => {
    const manager = await connectAs(server, "node");
    const seen: string[] = [];
    manager.subscribe("_caxton.test.log.>", {
      callback: (_error, { subject }) => {
        seen.push(subject);
      },
    });
    await manager.flush();
    client.publish("caxton.v1.send.default.adder.led", "1", { reply: "_caxton.test.log.0" });
    client.publish("_caxton.test.log.0", "1");
    await js.publish("caxton.v1.send.default.adder.led", "1");
    await until(async () => (await stateOf("default/adder/led", "total")) === "2 2");
    await manager.flush();
    await manager.close();
    expect(seen).toEqual([]);
  });

  test("no error goes where clients may not publish", async () => {
    const manager = await connectAs(server, "node");
    const seen: string[] = [];
    manager.subscribe("_caxton.>", {
      callback: (_error, { subject, headers: given }) => {
        if (given?.has("Caxton-Error-Code") === true) seen.push(subject);
      },
    });
    await manager.flush();
    const inbox = client.subscribe("caxton.v1.errors.last");
    for (const to of [
      "_caxton.test.log.0",
      "$JS.API.STREAM.DELETE.CAXTON_test_SEND",
      "caxton.v1.errors.last",
    ]) {
      await js.publish("caxton.v1.send.default.nobody.same", "x", {
        headers: headersOf({ "Caxton-Error-To": to }),
      });
    }
    await firstOf(inbox);
    await manager.flush();
    expect(seen).toEqual([]);
    await (await jetstreamManager(manager)).streams.info(SEND_STREAM);
    await manager.close();
  });
});

describe("asking", () => {
  test("the reply is the answer", async () => {
    const answer = await ask("default.adder.asked", "4");
    expect(answer.string()).toBe("4 1");
    expect(answer.headers?.get("Content-Type")).toBe("text/plain");
    expect(answer.headers?.get("Caxton-Sender")).toBe("default/adder/asked");
  });

  test("an id that was asked before gets the first reply", async () => {
    const id = { "Nats-Msg-Id": "asked-twice" };
    expect((await ask("default.adder.twice", "4", id)).string()).toBe("4 1");
    expect((await ask("default.adder.twice", "4", id)).string()).toBe("4 1");
  });

  test.each([
    ["default.nobody.x", "1", {}, "AGENT_NOT_FOUND", 404],
    ["default.probe.x", "fail so it is", {}, "AGENT_FAILED", 422],
    ["default.probe.x", "wait 1 60000", { "Caxton-Timeout-Ms": "50" }, "ASK_TIMEOUT", 504],
    ["default.adder.x", "1", { "Caxton-Timeout-Ms": "soon" }, "INVALID_ARGUMENT", 400],
  ])("a failure of %s %s is a service error", async (address, content, more, code, status) => {
    const answer = await ask(address, content, more);
    expect(answer.headers?.get("Caxton-Error-Code")).toBe(code);
    expect(answer.headers?.get("Nats-Service-Error-Code")).toBe(String(status));
    expect(answer.headers?.get("Nats-Service-Error")).not.toBe("");
    expect(answer.json()).toMatchObject({ code, subject: `caxton.v1.ask.${address}` });
  });

  test("an answer goes only where clients may listen", async () => {
    const forged = { reply: "$JS.API.STREAM.DELETE.CAXTON_test_SEND" };
    client.publish("caxton.v1.ask.default.echo.forged", "", forged);
    client.publish("caxton.v1.ask.default.nobody.forged", "", forged);
    expect((await ask("default.echo.forged", "after it")).string()).toBe("after it");
    const manager = await connectAs(server, "node");
    await (await jetstreamManager(manager)).streams.info(SEND_STREAM);
    await manager.close();
  });

  test("the service is found by NATS's own tools", async () => {
    const [ping, info, stats] = await Promise.all(
      ["PING", "INFO.caxton", "STATS.caxton"].map((verb) => client.request(`$SRV.${verb}`)),
    );
    expect(ping!.json()).toMatchObject({ type: "io.nats.micro.v1.ping_response", name: "caxton" });
    const { id, endpoints } = info!.json<{ id: string; endpoints: unknown[] }>();
    expect(endpoints).toMatchObject([
      { name: "ask", subject: "caxton.v1.ask.*.*.*", queue_group: "caxton" },
    ]);
    expect((await client.request(`$SRV.INFO.caxton.${id}`)).json()).toMatchObject({ id });
    const [counted] = stats!.json<{ endpoints: { num_requests: number; num_errors: number }[] }>()
      .endpoints;
    expect(counted!.num_requests).toBeGreaterThan(counted!.num_errors);
    expect(counted!.num_errors).toBeGreaterThan(0);
  });
});

describe("headers", () => {
  const GIVEN = {
    "Caxton-Performative": "query-ref",
    "Caxton-Conversation-Id": "c-1",
    "Caxton-Reply-With": "r-1",
    "Caxton-In-Reply-To": "i-1",
    "Caxton-Ontology": "o-1",
    "Caxton-Language": "l-1",
    "Caxton-Protocol": "p-1",
    "Nats-Msg-Id": "m-1",
    a: "mine",
  };

  test("they are the envelope", async () => {
    const answer = (await ask("default.probe.envelope", "message", GIVEN)).string();
    for (const value of [
      "m-1",
      "query-ref",
      "text/plain",
      "c-1",
      "r-1",
      "i-1",
      "o-1",
      "l-1",
      "p-1",
    ]) {
      expect(answer).toContain(value);
    }
    expect(answer).toContain("mine");
  });

  test("what a client may not say is not heard, neither in asks nor in sends", async () => {
    const forged = {
      "Caxton-Sender": "default/adder/boss",
      "Caxton-Source": "3",
      "Caxton-Sequence": "99",
      "Caxton-Epoch": "7",
      "Caxton-Receiver": "default/adder/other",
      "caxton-client": "boss",
    };
    const asked = (await ask("default.probe.forged", "message", forged)).string();
    expect(asked).toContain("nats:CAXTON");
    expect(asked).toContain("default/probe/forged");
    expect(asked).not.toContain("boss");
    const seen = messagesTo("default/probe/sent");
    await js.publish("caxton.v1.send.default.probe.sent", "x", { headers: headersOf(forged) });
    const message = await seen;
    expect(message).toMatchObject({
      sender: "nats:CAXTON",
      receiver: "default/probe/sent",
      headers: {},
    });
  });

  test("a message carries the trace that its sender began", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const seen = messagesTo("default/echo/traced");
    await js.publish("caxton.v1.send.default.echo.traced", "x", {
      headers: headersOf({ traceparent }),
    });
    expect((await seen).headers).toEqual({ traceparent });
  });
});

/** What no library writes. */
async function publishRaw(command: string): Promise<void> {
  const socket = connectSocket({ host: "127.0.0.1", port: server.port });
  const login = JSON.stringify({ user: "client", pass: "client", headers: true, verbose: false });
  socket.write(`CONNECT ${login}\r\n${command}PING\r\n`);
  let answer = "";
  for await (const bytes of socket) {
    answer += String(bytes);
    if (answer.includes("PONG")) break;
  }
}

async function firstOf(subscription: AsyncIterable<Msg>): Promise<Msg> {
  for await (const message of subscription) return message;
  throw new Error("the subscription ended");
}

/** The first message that comes to an address from now on. */
function messagesTo(address: string): Promise<Message> {
  return new Promise((resolve) => {
    const leave = node.kernel.messages.subscribe({
      filter: { address },
      deliver: ({ message }) => {
        resolve(message);
        queueMicrotask(() => leave());
        return true;
      },
      drained: () => Promise.resolve(),
      closed: () => undefined,
    });
  });
}
