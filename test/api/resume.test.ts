/** Subscribers who come back: nothing is missed and nothing comes twice. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  SubscribeMessagesRequest,
  type SubscribeMessagesResponse,
} from "../../src/gen/caxton/v1/message.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, refusal, Wire, WireError } from "../support/wire.ts";

const SETS = ["partitions.count=4", "workers.count=2", "limits.subscriberBytesMax=65536"];
const KEYS = 5;

const directory = mkdtempSync(join(tmpdir(), "caxton-resume-"));
let server: ServerProcess;
let wire: Wire;

beforeAll(async () => {
  server = await startServerProcess({ directory, sets: SETS });
  wire = new Wire(server.endpoint);
  await wire.deploy(manifest("adder"), fixtureModule("adder"));
});

afterAll(async () => {
  wire.close();
  await server.dispose();
  rmSync(directory, { recursive: true, force: true });
});

interface Stream {
  readonly call: ClientReadableStream<SubscribeMessagesResponse>;
  readonly failed: Promise<never>;
}

function subscribe(resumeToken = "", { messages } = wire): Stream {
  const request = SubscribeMessagesRequest.create({ address: "default/adder", resumeToken });
  const call = messages.subscribeMessages(request);
  const failed = new Promise<never>((_, reject) => {
    call.on("error", (error: ServiceError) => reject(new WireError(error)));
  });
  failed.catch(() => undefined);
  return { call, failed };
}

const opened = ({ call }: Stream) => new Promise((resolve) => call.once("metadata", resolve));

/** The next so many; the stream goes on. */
async function take({ call, failed }: Stream, count: number): Promise<SubscribeMessagesResponse[]> {
  const taken: SubscribeMessagesResponse[] = [];
  while (taken.length < count) {
    const event = call.read() as SubscribeMessagesResponse | null;
    if (event !== null) taken.push(event);
    else await Promise.race([failed, new Promise((resolve) => call.once("readable", resolve))]);
  }
  return taken;
}

let sent = 0;

/** Sends messages to actors of several partitions; returns their ids. */
async function send(count: number, size = 1): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const receiver = `default/adder/${sent % KEYS}`;
    const id = `m${sent++}`;
    const content = bytes("1".padEnd(size));
    await wire.send({ receiver, id, contentType: "text/plain", content });
    ids.push(id);
  }
  return ids;
}

const idsOf = (events: readonly SubscribeMessagesResponse[]) => events.map((e) => e.message!.id);

async function restart(): Promise<void> {
  wire.close();
  await server.kill("SIGKILL");
  server = await startServerProcess({ directory, sets: SETS });
  wire = new Wire(server.endpoint);
}

describe("a subscriber that comes back", () => {
  test.each([1, 7, 20])("after %i messages gets the rest, and then what happens", async (first) => {
    const before = subscribe();
    await opened(before);
    // The first ones may come before the node knows where it stands.
    const early = await send(1);
    expect(idsOf(await take(before, 1))).toEqual(early);
    const ids = await send(20);
    const seen = await take(before, first);
    before.call.cancel();
    ids.push(...(await send(20)));
    const after = subscribe(seen.at(-1)!.resumeToken);
    const rest = await take(after, 40 - first);
    ids.push(...(await send(10)));
    rest.push(...(await take(after, 10)));
    after.call.cancel();
    expect([...idsOf(seen), ...idsOf(rest)].sort()).toEqual(ids.sort());
    for (const key of Array.from({ length: KEYS }, (_, i) => `default/adder/${i}`)) {
      const own = [...seen, ...rest].filter(({ message }) => message!.receiver === key);
      const numbers = idsOf(own).map((id) => Number(id.slice(1)));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
  });

  test("after a kill of the server", async () => {
    const before = subscribe();
    await opened(before);
    await send(1);
    await take(before, 1);
    await send(5);
    const [third] = (await take(before, 3)).slice(-1);
    before.call.cancel();
    await restart();
    const ids = await send(5);
    const after = subscribe(third!.resumeToken);
    const rest = await take(after, 7);
    after.call.cancel();
    expect(idsOf(rest)).toEqual(expect.arrayContaining(ids));
    expect(new Set(idsOf(rest)).size).toBe(7);
  });

  test("and reads slowly: it is waited for", async () => {
    const before = subscribe();
    await opened(before);
    await send(1);
    await take(before, 1);
    await send(1);
    const [start] = await take(before, 1);
    before.call.cancel();
    // Far more than the server holds for a subscriber.
    const ids = await send(40, 50_000);
    const after = subscribe(start!.resumeToken);
    await opened(after);
    expect(idsOf(await take(after, 40)).sort()).toEqual(ids.sort());
    after.call.cancel();
  });

  test("over REST by the id of the last event", async () => {
    const path = "/api/v1/messages:stream?address=default/adder";
    const url = `http://127.0.0.1:${server.restPort}${path}`;
    const events = async (headers: Record<string, string>, count: number): Promise<string[]> => {
      const response = await fetch(url, { headers });
      let text = "";
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        if (text === "") void send(headers["last-event-id"] === undefined ? 6 : 0);
        text += chunk;
        // The last one may not be whole yet.
        const whole = text
          .split("\n\n")
          .slice(0, -1)
          .filter((event) => event.startsWith("id: "));
        if (whole.length >= count) return whole.slice(0, count);
      }
      throw new Error(`the stream ended: ${text}`);
    };
    const first = await events({}, 2);
    const token = /^id: (\S+)$/m.exec(first[1]!)![1]!;
    const rest = await events({ "last-event-id": token }, 3);
    const ids = [...first, ...rest].map((event) => /"id":"(m\d+)"/.exec(event)![1]);
    expect(new Set(ids).size).toBe(5);
  });
});

describe("a token that is of no use", () => {
  test.each(["x", "AQ", Buffer.from([1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]).toString("base64url")])(
    "another server's: %s",
    async (token) => {
      const { detail } = await refusal(take(subscribe(token), 1));
      expect(detail?.code).toBe("INVALID_ARGUMENT");
    },
  );

  test("one that the log does not go back to", async () => {
    const sets = ["partitions.count=1", "retention.logMs=0", "snapshots.intervalMs=100"];
    const forgetful = await startServerProcess({ sets });
    const own = new Wire(forgetful.endpoint);
    try {
      await own.deploy(manifest("adder"), fixtureModule("adder"));
      const stream = subscribe("", own);
      await opened(stream);
      const message = { receiver: "default/adder/a", contentType: "text/plain" };
      await own.send({ ...message, content: bytes("1") });
      const [{ resumeToken } = { resumeToken: "" }] = await take(stream, 1);
      stream.call.cancel();
      const outcome = async (): Promise<string | undefined> => {
        await own.send({ ...message, content: bytes("1") });
        const again = subscribe(resumeToken, own);
        try {
          await take(again, 1);
          return "it went on";
        } catch (error) {
          return (error as WireError).detail?.code;
        } finally {
          again.call.cancel();
        }
      };
      await expect.poll(outcome, { timeout: 20_000 }).toBe("RESUME_TOKEN_EXPIRED");
    } finally {
      own.close();
      await forgetful.dispose();
    }
  });
});
