import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readHttpRules } from "../../src/api/rest/schema.ts";
import { Router } from "../../src/api/rest/router.ts";
import { ERRORS } from "../../src/base/errors.ts";
import openApi from "../../src/gen/openapi.json" with { type: "json" };
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { fixtureModule, manifest } from "../support/wire.ts";

type Json = Record<string, unknown>;

const SUBSCRIBER_BYTES_MAX = 65_536;
/** Together more than the system holds for a connection that is not read. */
const FLOOD = 60;
const RULES = readHttpRules();
const router = new Router(RULES);
const called = new Set<string>();

let server: ServerProcess;
let base: string;

beforeAll(async () => {
  server = await startServerProcess({
    sets: [
      `limits.subscriberBytesMax=${SUBSCRIBER_BYTES_MAX}`,
      "limits.moduleBytesMax=1000000",
      "api.rest.corsOrigins=https://other.example, https://console.example",
      "limits.messageBytesMax=200000",
    ],
  });
  base = `http://127.0.0.1:${server.restPort}`;
  for (const name of ["echo", "adder", "probe"]) expect((await deploy(name)).status).toBe(200);
});

afterAll(() => server.dispose());

interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Json;
}

async function call(
  verb: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answered> {
  const json =
    body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(base + path, {
    method: verb,
    ...json,
    headers: { ...json.headers, ...headers },
  });
  if (response.ok) called.add(methodOf(verb, path));
  const text = await response.text();
  const parsed = text === "" ? {} : (JSON.parse(text) as Json);
  return { status: response.status, headers: response.headers, json: parsed };
}

function methodOf(verb: string, path: string): string {
  return router.find(verb, path.split("?")[0]!).rule.method.name;
}

function pathOf({ id }: Json): string {
  return `/api/v1/dead-letters/${encodeURIComponent(String(id))}`;
}

function deploy(name: string): Promise<Answered> {
  const moduleBase64 = Buffer.from(fixtureModule(name)).toString("base64");
  return call("POST", "/api/v1/agents", { manifest: manifest(name), moduleBase64 });
}

describe("the paths", () => {
  test("agents are listed, shown, suspended, resumed and deleted", async () => {
    await deploy("sequence");
    const list = await call("GET", "/api/v1/agents?namespace=default");
    const names = (list.json["agents"] as Json[]).map(({ name }) => name);
    expect(names).toEqual(["adder", "echo", "probe", "sequence"]);
    const path = "/api/v1/agents/default/sequence";
    expect((await call("GET", path)).json["agent"]).toMatchObject({ status: "running" });
    const suspended = await call("POST", `${path}:suspend`, { reason: "for a while" });
    expect(suspended.json["agent"]).toMatchObject({ status: "suspended", reason: "for a while" });
    expect((await call("POST", `${path}:resume`)).json["agent"]).toMatchObject({
      status: "running",
    });
    expect(await call("DELETE", path)).toMatchObject({ status: 200, json: {} });
    expect((await call("GET", path)).json).toMatchObject({ code: "AGENT_NOT_FOUND" });
  });

  test("a form deploys files as they are", async () => {
    const form = new FormData();
    form.set("manifest", new Blob([manifest("adder")]), "agent.yaml");
    form.set("module", new Blob([new Uint8Array(fixtureModule("adder"))]), "agent.wasm");
    const response = await fetch(`${base}/api/v1/agents`, { method: "POST", body: form });
    expect(await response.json()).toMatchObject({ changed: false });
  });

  test("content is JSON, text or base64, there and back", async () => {
    const ask = async (message: Json): Promise<Json> => {
      const asked = await call("POST", "/api/v1/messages:ask?timeoutMs=20000", {
        receiver: "default/echo/rest",
        ...message,
      });
      return asked.json["reply"] as Json;
    };
    const value = { a: [1, "ü", null] };
    const json = "application/json";
    expect(await ask({ content: value })).toMatchObject({ contentType: json, content: value });
    expect(await ask({ content: "ü" })).toMatchObject({ content: "ü" });
    expect(await ask({ contentType: json, content: "ü" })).toMatchObject({ content: "ü" });
    const binary = { contentBase64: "AP8=", contentType: "application/octet-stream" };
    expect(await ask(binary)).toMatchObject(binary);
    expect(await ask(binary)).not.toHaveProperty("content");
  });

  test("Idempotency-Key makes a repeat safe", async () => {
    const message = { receiver: "default/adder/rest", content: "3" };
    const key = { "idempotency-key": "rest-1" };
    const first = await call("POST", "/api/v1/messages", message, key);
    expect(first.json).toMatchObject({ id: "rest-1", duplicate: false });
    const again = await call("POST", "/api/v1/messages", message, key);
    expect(again.json).toEqual({ ...first.json, duplicate: true });
    const other = await call("POST", "/api/v1/messages", { ...message, id: "other" }, key);
    expect(other.json["findings"]).toMatchObject([{ at: "id" }]);
  });

  test("state has a tag that changes with the value", async () => {
    const put = (value: string): Promise<Answered> =>
      call("POST", "/api/v1/messages:ask", {
        receiver: "default/probe/rest",
        content: `put a/b ${value}`,
      });
    await put("1");
    const path = "/api/v1/actors/default/probe/rest/state/a%2Fb";
    const first = await call("GET", path);
    const etag = first.headers.get("etag")!;
    expect(first.json["entry"]).toMatchObject({ key: "a/b", value: "1", valueBase64: "MQ==" });
    expect(await call("GET", path, undefined, { "if-none-match": etag })).toMatchObject({
      status: 304,
    });
    await put("2");
    const changed = await call("GET", path, undefined, { "if-none-match": etag });
    expect(changed).toMatchObject({ status: 200, json: { entry: { value: "2" } } });
    const list = await call("GET", "/api/v1/actors/default/probe/rest/state?prefix=a");
    expect(list.json["entries"]).toMatchObject([{ key: "a/b" }]);
    const history = await call("GET", "/api/v1/actors/default/probe/rest/state-changes");
    expect(history.json["changes"]).toMatchObject([{ value: "1" }, { value: "2" }]);
  });

  test("what became of a message", async () => {
    const message = { receiver: "default/echo/traced", id: "traced", content: "x" };
    await call("POST", "/api/v1/messages:ask", message);
    const { json } = await call("GET", "/api/v1/messages:trace?messageId=traced");
    expect(json).toMatchObject({
      complete: true,
      events: [{ kind: "arrived" }, { kind: "handled" }, { causeId: "traced" }],
    });
  });

  test("actors and dead letters", async () => {
    const page = await call("GET", "/api/v1/actors?agent=probe&namespace=default&pageSize=1");
    expect(page.json["actors"]).toMatchObject([
      { status: "idle", memoryBytes: expect.any(Number) },
    ]);
    const failing = { receiver: "default/probe/failing", content: "trap" };
    expect((await call("POST", "/api/v1/messages:ask", failing)).status).toBe(422);
    const actor = "/api/v1/actors/default/probe/failing";
    expect((await call("GET", actor)).json["actor"]).toMatchObject({ restarts: 3 });
    const letters = await call("GET", "/api/v1/dead-letters?agent=probe&namespace=default");
    const [letter] = letters.json["deadLetters"] as Json[];
    expect(letter).toMatchObject({ code: "AGENT_TRAPPED", message: { content: "trap" } });
    expect(await call("POST", `${pathOf(letter!)}:retry`)).toMatchObject({ status: 200 });
    const next = async (): Promise<Json | undefined> => {
      const { json } = await call("GET", "/api/v1/dead-letters?agent=probe&namespace=default");
      return (json["deadLetters"] as Json[]).find(({ id }) => id !== letter!["id"]);
    };
    await expect.poll(next, { timeout: 20_000 }).toBeDefined();
    expect((await call("DELETE", pathOf((await next())!))).status).toBe(200);
    expect((await call("POST", `${actor}:reset`)).status).toBe(200);
    expect(await call("POST", `${actor}:release`)).toMatchObject({ status: 200 });
  });

  test("the node, its version and its supervisor", async () => {
    const node = await call("GET", "/api/v1/node");
    expect(node.json["status"]).toMatchObject({ ready: true, workers: 1 });
    expect((await call("GET", "/api/v1/version")).json).toMatchObject({ apiVersion: "caxton.v1" });
    const config = await call("GET", "/api/v1/node/config");
    expect(config.json["settings"]).toContainEqual({
      ...{ key: "limits.moduleBytesMax", value: "1000000", source: "flag", reloadable: false },
    });
    const reloaded = await call("POST", "/api/v1/node/config:reload");
    expect(reloaded.json).toEqual({ applied: [], needsRestart: [] });
    const { json } = await call("GET", "/api/v1/node/diagnostics");
    expect(json["metrics"]).toContain("caxton_ready 1");
    const lines = (json["logLines"] as string[]).map((line) => JSON.parse(line) as { msg: string });
    expect(lines).toContainEqual(expect.objectContaining({ msg: "stage started", name: "kernel" }));
    expect((await call("GET", "/api/v1/supervisor")).json["root"]).toMatchObject({ kind: "node" });
  });
});

test("pages of an origin that is allowed may ask, and then call", async () => {
  const url = `http://127.0.0.1:${server.restPort}/api/v1/messages:ask`;
  const origin = "https://console.example";
  const wish = { origin, "access-control-request-method": "POST" };
  const preflight = await fetch(url, { method: "OPTIONS", headers: wish });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get("access-control-allow-origin")).toBe(origin);
  expect(preflight.headers.get("access-control-allow-methods")).toContain("POST");
  expect(preflight.headers.get("access-control-allow-headers")).toContain("idempotency-key");
  const message = { receiver: "default/echo/cors", content: "hi" };
  const asked = await call("POST", "/api/v1/messages:ask", message, { origin });
  expect(asked).toMatchObject({ status: 200, json: { reply: { content: "hi" } } });
  expect(asked.headers.get("access-control-allow-origin")).toBe(origin);
  expect(asked.headers.get("access-control-expose-headers")).toContain("caxton-trace-id");
});

describe("streams", () => {
  test("messages come as events", async () => {
    const stream = await events("/api/v1/messages:stream?address=default/echo/stream");
    await call("POST", "/api/v1/messages", { receiver: "default/echo/stream", content: { n: 1 } });
    const event = await stream.next();
    expect(event).toMatchObject({
      message: { receiver: "default/echo/stream", content: { n: 1 } },
    });
    stream.close();
  });

  test("an agent's log comes as events and ends without follow", async () => {
    const said = { receiver: "default/probe/talks", content: "log 1 hello" };
    await call("POST", "/api/v1/messages:ask", said);
    const stream = await events("/api/v1/agents/default/probe/log?key=talks&level=info");
    expect(await stream.next()).toMatchObject({ text: "hello", level: "info" });
    expect(await stream.next()).toBeUndefined();
  });

  test("a reader that does not read is cut off, and the others are not", async () => {
    const path = "/api/v1/messages:stream?address=default/echo/flood";
    const slow = connect(server.restPort, "127.0.0.1");
    slow.write(`GET ${path} HTTP/1.1\r\nhost: caxton\r\n\r\n`);
    await new Promise((resolve) => slow.once("readable", resolve));
    const quick = await events(path);
    const content = "x".repeat(190_000);
    for (let i = 0; i < FLOOD; i++) {
      await call("POST", "/api/v1/messages", { receiver: "default/echo/flood", content });
      expect(await quick.next()).toBeDefined();
    }
    quick.close();
    await expect.poll(() => codesOf("SubscribeMessages")).toContain("SUBSCRIBER_TOO_SLOW");
    slow.destroy();
  });
});

function codesOf(method: string): unknown[] {
  return server
    .log()
    .filter((line) => line["method"] === method)
    .map((line) => line["code"]);
}

async function events(path: string) {
  const abort = new AbortController();
  const response = await fetch(base + path, { signal: abort.signal });
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  called.add(methodOf("GET", path));
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    /** Undefined at the end. */
    async next(): Promise<Json | undefined> {
      for (;;) {
        const end = text.indexOf("\n\n");
        if (end >= 0) {
          const event = text.slice(0, end);
          text = text.slice(end + 2);
          const data = /^data: (.*)$/m.exec(event)?.[1];
          if (data !== undefined) return JSON.parse(data) as Json;
          continue;
        }
        const { value, done } = await reader.read();
        if (done) return undefined;
        text += value;
      }
    },
    close: () => abort.abort(),
  };
}

describe("what is refused", () => {
  const cases: [string, string, string, unknown, number, string, unknown][] = [
    ["a path there is not", "GET", "/api/v1/agnets", undefined, 404, "UNKNOWN_PATH", []],
    ["a method", "PUT", "/api/v1/agents", undefined, 405, "METHOD_NOT_ALLOWED", []],
    [
      "everything wrong with a message",
      "POST",
      "/api/v1/messages",
      { reciever: "x", headers: 3, performative: 7, content: "1", contentBase64: "MQ==" },
      400,
      "INVALID_ARGUMENT",
      ["content", "reciever", "headers", "performative"],
    ],
    [
      "values of a query",
      "GET",
      "/api/v1/actors?status=idel&pageSize=-1&foo=1&agent=a&agent=b",
      undefined,
      400,
      "INVALID_ARGUMENT",
      ["status", "pageSize", "foo", "agent"],
    ],
    ["a list as body", "POST", "/api/v1/messages", [], 400, "INVALID_ARGUMENT", ["body"]],
    ["a body where none is", "DELETE", "/api/v1/agents/a/b", {}, 400, "INVALID_ARGUMENT", ["body"]],
    ["a bad escape", "GET", "/api/v1/agents/a/%ff", undefined, 400, "INVALID_ARGUMENT", ["path"]],
    [
      "bytes that are no base64",
      "POST",
      "/api/v1/agents",
      { manifest: "", moduleBase64: "?" },
      400,
      "INVALID_ARGUMENT",
      ["moduleBase64"],
    ],
    [
      "an agent there is not",
      "POST",
      "/api/v1/messages",
      { receiver: "default/none/x" },
      404,
      "AGENT_NOT_FOUND",
      [],
    ],
  ];
  test.each(cases)("%s", async (_, verb, path, body, status, code, places) => {
    const refused = await call(verb, path, body);
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(refused.json).toMatchObject({ status, code, hint: expect.stringMatching(/./) });
    expect(refused.status).toBe(status);
    const findings = refused.json["findings"] as { at: string }[];
    expect(findings.map(({ at }) => at)).toEqual(places);
    expect(refused.headers.get("caxton-trace-id")).toBe(refused.json["traceId"]);
  });

  test("a body that is no JSON, or says it is something else", async () => {
    const post = async (body: string, type: string): Promise<Json> => {
      const headers = { "content-type": type };
      const path = `${base}/api/v1/messages`;
      return (await (await fetch(path, { method: "POST", body, headers })).json()) as Json;
    };
    expect(await post("{", "application/json")).toMatchObject({ findings: [{ at: "body" }] });
    expect(await post("{}", "text/plain")).toMatchObject({ code: "UNSUPPORTED_MEDIA_TYPE" });
    expect(await post("x", "multipart/form-data")).toMatchObject({ findings: [{ at: "body" }] });
    const cut = '--x\r\ncontent-disposition: form-data; name="module"; filename="a"\r\n\r\nabc';
    expect(await post(cut, "multipart/form-data; boundary=x")).toMatchObject({
      findings: [{ at: "body" }],
    });
  });

  test.each(["//", "http://[/"])("%s, which is no URL", async (path) => {
    const status = await new Promise((resolve, reject) => {
      const sending = httpRequest({ port: server.restPort, path }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sending.on("error", reject);
      sending.end();
    });
    expect(status).toBe(404);
  });

  test("a body over the limit, before it is all there", async () => {
    const length = 100_000_000;
    const answer = await new Promise<[status: number, body: string]>((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": length };
      const options = { method: "POST", path: "/api/v1/agents", headers };
      const sending = httpRequest({ port: server.restPort, ...options }, (response) => {
        void text(response).then((body) => resolve([response.statusCode!, body]), reject);
      });
      sending.on("error", reject);
      sending.write(Buffer.alloc(2_000_000, 0x20));
    });
    expect(answer[0]).toBe(413);
    expect(JSON.parse(answer[1])).toMatchObject({ code: "REQUEST_TOO_LARGE" });
  });

  test("a form's text may be longer than a megabyte", async () => {
    const form = new FormData();
    form.append("manifest", `${"# filler\n".repeat(130_000)}${manifest("filled")}`);
    form.append("module", new Blob([Uint8Array.from(fixtureModule("echo"))]));
    const url = `http://127.0.0.1:${server.restPort}/api/v1/agents`;
    const response = await fetch(url, { method: "POST", body: form });
    expect(await response.json()).toMatchObject({ agent: { name: "filled" } });
  });

  test("pages of an origin that is not allowed: they are told nothing", async () => {
    const headers = { origin: "https://evil.example" };
    const answer = await call("GET", "/api/v1/version", undefined, headers);
    expect([...answer.headers.keys()].filter((name) => name.includes("allow"))).toEqual([]);
    expect(answer.headers.get("vary")).toBe("origin");
  });

  test("methods that a path takes are named", async () => {
    const refused = await call("PATCH", "/api/v1/agents/default/echo");
    expect(refused.headers.get("allow")?.split(", ").sort()).toEqual(["DELETE", "GET"]);
  });
});

describe("the description", () => {
  test("is served, with a page for people", async () => {
    expect(await (await fetch(`${base}/api/v1/openapi.json`)).json()).toEqual(openApi);
    const page = await fetch(`${base}/api/v1/docs`);
    expect(page.headers.get("content-type")).toMatch(/^text\/html/);
    expect(await page.text()).toContain('fetch("openapi.json")');
  });

  test("has exactly the methods of gRPC, each by its rule", () => {
    const described = Object.entries(openApi.paths).flatMap(([path, verbs]) =>
      Object.entries(verbs).map(([verb, { operationId }]) => [operationId, verb, path].join(" ")),
    );
    const rules = RULES.map(({ method, verb, path }) =>
      [method.name, verb.toLowerCase(), path.replaceAll(/=[^}]*/g, "")].join(" "),
    );
    expect(described.sort()).toEqual(rules.sort());
    expect(openApi.components.schemas.Problem.properties.code.enum).toEqual(Object.keys(ERRORS));
  });

  test("is what the standard wants of a description", async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(openApi));
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
  });

  test("names nothing that was not called here", () => {
    expect([...called].sort()).toEqual(RULES.map(({ method }) => method.name).sort());
  });
});
