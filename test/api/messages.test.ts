import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERRORS } from "../../src/base/errors.ts";
import {
  MessageServiceClient,
  SubscribeMessagesRequest,
  type SubscribeMessagesResponse,
} from "../../src/gen/caxton/v1/message.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, refusal, Wire } from "../support/wire.ts";

const SUBSCRIBER_BYTES_MAX = 65_536;
/** More than a client's library reads ahead. */
const FLOOD = 40;

let server: ServerProcess;
let wire: Wire;

beforeAll(async () => {
  server = await startServerProcess({
    sets: [`limits.subscriberBytesMax=${SUBSCRIBER_BYTES_MAX}`],
  });
  wire = new Wire(server.endpoint);
  await wire.deploy(manifest("echo"), fixtureModule("echo"));
  await wire.deploy(manifest("adder"), fixtureModule("adder"));
  await wire.deploy(manifest("probe", "{attemptsMax: 1}"), fixtureModule("probe"));
});

afterAll(async () => {
  wire.close();
  await server.dispose();
});

describe("sending and asking", () => {
  test("an ask gets the handler's reply", async () => {
    const content = bytes('{"a": [1, "ü"]}');
    const { reply, duplicate } = await wire.ask({
      receiver: "default/echo/one",
      contentType: "application/json",
      content,
    });
    expect(duplicate).toBe(false);
    expect(Buffer.from(reply!.content)).toEqual(Buffer.from(content));
    expect(reply).toMatchObject({ sender: "default/echo/one", contentType: "application/json" });
  });

  test("the handler sees the whole envelope", async () => {
    const { reply } = await wire.ask({
      receiver: "default/probe/envelope",
      id: "m-1",
      client: "tester",
      performative: "query-ref",
      contentType: "text/plain",
      content: bytes("message"),
      conversationId: "conversation",
      replyWith: "with",
      inReplyTo: "to",
      ontology: "ontology",
      language: "language",
      protocol: "protocol",
      headers: { a: "1" },
    });
    const seen = Buffer.from(reply!.content).toString().split("|");
    expect(seen.slice(0, 8)).toEqual([
      "m-1",
      "tester",
      "default/probe/envelope",
      "query-ref",
      "text/plain",
      "conversation",
      "with",
      "to",
    ]);
    expect(seen.slice(9, 16)).toEqual([
      "ontology",
      "language",
      "protocol",
      "1",
      "none",
      "true",
      // Bytes of the content.
      "7",
    ]);
  });

  test("a repeat with the same id takes effect once", async () => {
    const message = {
      receiver: "default/adder/repeated",
      id: "add-5",
      contentType: "text/plain",
      content: bytes("5"),
    };
    const first = await wire.send(message);
    const second = await wire.send(message);
    expect(first).toMatchObject({ id: "add-5", duplicate: false });
    expect(second).toMatchObject({ id: "add-5", duplicate: true });
    expect(await wire.askText("default/adder/repeated", "0")).toBe("5 2");
  });

  test("a repeated ask gets the first reply", async () => {
    const message = {
      receiver: "default/adder/asked",
      id: "ask-7",
      contentType: "text/plain",
      content: bytes("7"),
    };
    const first = await wire.ask(message);
    const second = await wire.ask(message);
    expect([first.duplicate, second.duplicate]).toEqual([false, true]);
    expect(Buffer.from(second.reply!.content).toString()).toBe("7 1");
  });

  test("messages of one client are handled in the order sent", async () => {
    const receiver = "default/probe/ordered";
    const put = (i: number) =>
      wire.send({ receiver, contentType: "text/plain", content: bytes(`put last ${i}`) });
    await Promise.all(Array.from({ length: 200 }, (_, i) => put(i)));
    expect(await wire.askText(receiver, "get last")).toBe("199");
  });
});

describe("refusals", () => {
  test("every violation is listed", async () => {
    const error = await refusal(
      wire.send({
        receiver: "nowhere",
        id: "with space",
        performative: "Inform",
        contentType: "json",
        client: "a/b",
        conversationId: "x".repeat(257),
        headers: { "": "empty" },
      }),
    );
    expect(error.status).toBe(status.INVALID_ARGUMENT);
    expect(error.detail).toMatchObject({ code: "INVALID_ARGUMENT", retryable: false });
    expect(error.detail!.findings.map(({ at }) => at)).toEqual([
      "message.receiver",
      "message.id",
      "message.performative",
      "message.content_type",
      "message.client",
      "message.conversation_id",
      "message.headers",
    ]);
  });

  test("what can't be decoded is refused with a code", async () => {
    const client = new Client(server.endpoint, credentials.createInsecure());
    const same = (raw: Buffer): Buffer => raw;
    const sent = [same, same, Buffer.from([0x0a, 0xff])] as const;
    const error = await new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest("/caxton.v1.MessageService/SendMessage", ...sent, resolve),
    );
    const stream = client.makeServerStreamRequest(
      "/caxton.v1.MessageService/SubscribeMessages",
      ...sent,
    );
    const streamError = await new Promise<ServiceError>((resolve) => stream.once("error", resolve));
    client.close();
    for (const each of [error, streamError]) {
      expect(each?.code).toBe(status.INVALID_ARGUMENT);
      expect(each?.metadata.get("caxton-code")).toEqual(["INVALID_ARGUMENT"]);
    }
  });

  test.each([
    ["no address", { receiver: "Default/echo/x" }, "INVALID_ADDRESS"],
    ["no such agent", { receiver: "default/nobody/x" }, "AGENT_NOT_FOUND"],
    [
      "no JSON",
      { receiver: "default/echo/x", contentType: "application/json", content: bytes("{") },
      "INVALID_CONTENT",
    ],
    [
      "no JSON, by suffix and with a parameter",
      { receiver: "default/echo/x", contentType: "application/ld+json; a=b", content: bytes("{") },
      "INVALID_CONTENT",
    ],
    [
      "no UTF-8",
      { receiver: "default/echo/x", contentType: "text/plain", content: Uint8Array.of(0xff) },
      "INVALID_CONTENT",
    ],
    [
      "too large",
      { receiver: "default/echo/x", content: new Uint8Array(262_145) },
      "MESSAGE_TOO_LARGE",
    ],
  ] as const)("%s", async (_, message, code) => {
    const sending = await refusal(wire.send(message));
    const asking = await refusal(wire.ask(message));
    expect([sending.detail?.code, asking.detail?.code]).toEqual([code, code]);
    expect(status[sending.status]).toBe(ERRORS[code].grpc);
  });

  test("any bytes are fine as octet-stream", async () => {
    const content = Uint8Array.of(0, 255, 128);
    const { reply } = await wire.ask({ receiver: "default/echo/bytes", content });
    expect([...reply!.content]).toEqual([...content]);
  });

  test("a failing handler is the asker's answer and a dead letter", async () => {
    const failing = wire.askText("default/probe/failing", "throw boom");
    const error = await refusal(failing);
    expect(["AGENT_FAILED", "AGENT_TRAPPED"]).toContain(error.detail?.code);
    expect(error.message).toContain("boom");
  });
});

describe("tracing", () => {
  const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
  const traceparent = `00-${TRACE}-00f067aa0ba902b7-01`;

  test("the caller's trace id is in the error and in the log, on one line", async () => {
    const { agents } = wire;
    const error = await refusal(
      wire.call(
        agents.getAgent.bind(agents),
        { namespace: "default", name: "nobody" },
        { metadata: { traceparent } },
      ),
    );
    expect(error.detail?.traceId).toBe(TRACE);
    await expect
      .poll(() => server.log().filter((line) => line["traceId"] === TRACE), { timeout: 10_000 })
      .toEqual([expect.objectContaining({ method: "GetAgent", code: "AGENT_NOT_FOUND" })]);
  });

  test("without one, and with a broken one, the server makes its own", async () => {
    const { agents } = wire;
    const nobody = { namespace: "default", name: "nobody" };
    const get = (metadata: Record<string, string>) =>
      refusal(wire.call(agents.getAgent.bind(agents), nobody, { metadata }));
    const ids = [
      (await get({})).detail!.traceId,
      (await get({ traceparent: "00-zz-00-01" })).detail!.traceId,
    ];
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(ids[0]).not.toBe(ids[1]);
  });
});

describe("subscribing", () => {
  async function subscribed(
    filter: { address?: string; performatives?: string[] },
    client = wire.messages,
  ) {
    const stream = client.subscribeMessages(SubscribeMessagesRequest.create(filter));
    await new Promise((resolve) => stream.once("metadata", resolve));
    return stream;
  }

  test("messages come as they become durable, filtered", async () => {
    const stream = await subscribed({
      address: "default/adder/watched",
      performatives: ["inform"],
    });
    const text = { contentType: "text/plain", content: bytes("1") };
    await wire.send({ receiver: "default/adder/other", ...text });
    await wire.send({ receiver: "default/adder/watched", performative: "request", ...text });
    const sent = await wire.send({ receiver: "default/adder/watched", ...text });
    const [event] = await stream.take(1).toArray();
    expect(event as SubscribeMessagesResponse).toMatchObject({
      message: { id: sent.id, receiver: "default/adder/watched", performative: "inform" },
      partition: sent.partition,
      frame: sent.frame,
    });
    stream.cancel();
  });

  test("a subscriber that does not read is cut off, and the others are not", async () => {
    // On a connection of its own: unread bytes hold up everything else on theirs.
    const options = { "grpc.use_local_subchannel_pool": 1 };
    const own = new MessageServiceClient(server.endpoint, credentials.createInsecure(), options);
    const lazy = await subscribed({ address: "default/echo/flood" }, own);
    const other = await subscribed({ address: "default/echo/flood" });
    const firstRead = new Promise<void>((resolve) =>
      lazy.once("data", () => {
        lazy.pause();
        resolve();
      }),
    );
    const ended = new Promise<ServiceError>((resolve) => lazy.once("error", resolve));
    const content = new Uint8Array(200_000);
    const receiver = "default/echo/flood";
    const seen = other.take(FLOOD).toArray();
    await wire.send({ receiver, content });
    await firstRead;
    for (let i = 1; i < FLOOD; i++) await wire.send({ receiver, content });
    expect(await seen).toHaveLength(FLOOD);
    let read = 1;
    lazy.on("data", () => read++).resume();
    const error = await ended;
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(error.details).toBe(ERRORS.SUBSCRIBER_TOO_SLOW.text);
    expect(read).toBeLessThan(FLOOD);
    other.cancel();
    own.close();
  });
});
