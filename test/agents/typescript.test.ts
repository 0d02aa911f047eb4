/** An agent in TypeScript on a real kernel: docs/typescript.md is what is promised. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startKernel, type RunningKernel } from "../../src/actors/index.ts";
import { loadConfig } from "../../src/base/config.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { openEmbeddedStorage, type Storage } from "../../src/storage/index.ts";
import { typeScriptFixture } from "../support/typescript-agent.ts";

const SPEC = {
  attemptsMax: 1,
  supervision: { restartsMax: 1000 },
  config: { colour: "blue" },
  flags: { on: true },
};

const directory = mkdtempSync(join(tmpdir(), "caxton-typescript-"));
const config = loadConfig({
  sets: [`storage.directory=${directory}`, "workers.count=1", "partitions.count=4"],
});
let storage: Storage;
let kernel: RunningKernel;

/** The findings, or whether something changed. */
async function deploy(
  name: string,
  files: ReadonlyMap<string, string>,
  spec: object = SPEC,
): Promise<string[] | boolean> {
  try {
    const { changed } = await kernel.agents.deploy({
      manifest: JSON.stringify({
        apiVersion: "caxton/v1",
        kind: "Agent",
        metadata: { name },
        spec,
      }),
      source: { kind: "source", language: "typescript", files },
      resetMemory: false,
    });
    return changed;
  } catch (error) {
    if (!(error instanceof CaxtonError)) throw error;
    return error.findings.map(({ at, message, hint }) => `${at}: ${message} ${hint ?? ""}`);
  }
}

beforeAll(async () => {
  storage = await openEmbeddedStorage(config.storage);
  kernel = await startKernel({ storage, config, log: pino({ level: "silent" }) });
  expect(await deploy("script", typeScriptFixture())).toBe(true);
});

afterAll(async () => {
  await kernel.stop();
  await storage.close();
  rmSync(directory, { recursive: true, force: true });
});

async function reply(key: string, text: string) {
  const { reply } = await kernel.messages.ask({
    receiver: `default/script/${key}`,
    content: Buffer.from(text),
    contentType: "text/plain",
    timeoutMs: 20_000,
  });
  return { type: reply.contentType, content: Buffer.from(reply.content) };
}

async function ask(key: string, text: string): Promise<string> {
  return (await reply(key, text)).content.toString();
}

async function json(key: string, text: string): Promise<unknown> {
  return JSON.parse(await ask(key, text));
}

async function failure(key: string, text: string): Promise<CaxtonError> {
  try {
    const answer = await ask(key, text);
    throw new Error(`${text} replied ${answer}`);
  } catch (error) {
    if (error instanceof CaxtonError) return error;
    throw error;
  }
}

describe("a handler's reply", () => {
  test.each([
    ["count", "text/plain", Buffer.from("1")],
    ["bytes", "application/octet-stream", Buffer.of(1, 2, 255)],
    ["seen", "application/json", Buffer.from("[]")],
    ["nothing", "text/plain", Buffer.alloc(0)],
    ["early", "text/plain", Buffer.from("early")],
  ])("%s: what it returns", async (text, type, content) => {
    expect(await reply("replies", text)).toEqual({ type, content });
  });
});

test("variables last, files and packages are bundled, state and settings are there", async () => {
  expect([await ask("a", "count"), await ask("a", "count"), await ask("b", "count")]).toEqual([
    "1",
    "2",
    "1",
  ]);
  expect(await ask("a", "shout grün")).toBe("GRÜN!");
  expect(await json("k~20y", "json x")).toEqual({
    text: "x",
    count: 0,
    self: "default/script/k~20y",
    key: "k y",
  });
  expect(await json("a", "state")).toEqual(["grün", { a: [1] }, null, ["json", "text"]]);
  expect(await json("a", "settings")).toEqual(["blue", null, true, false]);
});

test("the same files are the same version, other settings leave memory alone", async () => {
  const again = (spec?: object) => deploy("again", typeScriptFixture(), spec);
  expect([await again(), await again()]).toEqual([true, false]);
  const count = async () => {
    const content = Buffer.from("count");
    const receiver = "default/again/one";
    const { reply } = await kernel.messages.ask({ receiver, content, contentType: "text/plain" });
    return Buffer.from(reply.content).toString();
  };
  expect(await count()).toBe("1");
  expect(await again({ ...SPEC, config: { colour: "red" } })).toBe(true);
  expect(await count()).toBe("2");
});

test("globals are there", async () => {
  expect(await json("globals", "globals")).toEqual([
    ...["1970-01-01T00:00:00.000Z", true, true, 36, 4, "grün", true, "YWJj", "abc", "object"],
  ]);
  expect(await json("globals", "timers")).toEqual(["microtask", "first", "second", 3]);
  expect(await ask("globals", "log")).toBe("logged");
});

describe("await", () => {
  test("a reply, several replies, a timer", async () => {
    expect(await ask("await", "ask default/script/other count")).toBe("1 after 1");
    expect(await json("await", "ask-twice default/script/other")).toEqual(["A!", "B!"]);
    expect(await ask("await", "sleep 20")).toBe("slept");
  });

  test("other messages wait in order while a handler is open", async () => {
    const asking = ask("order", "ask default/script/slow sleep 200");
    const noted = ask("order", "note between");
    await Promise.all([asking, noted]);
    expect(await json("order", "seen")).toEqual(["asking sleep 200", "got slept", "between"]);
  });

  test("a deadline passes, and a call back into an open handler fails at once", async () => {
    expect(await ask("deadline", "ask-late default/script/sleeper")).toBe("ASK_TIMEOUT");
    expect(await ask("cycle", "ask-self")).toBe("REENTRANT_ASK");
  });

  test("a failure rolls back its own segment", async () => {
    expect(await failure("steps", "two-steps default/script/other")).toMatchObject({
      code: "AGENT_FAILED",
    });
    expect(await ask("steps", "count")).toBe("2");
  });

  test("a timer that outlasts its handler", async () => {
    expect(await ask("later", "later")).toBe("set");
    await expect.poll(() => json("later", "seen")).toEqual(["later"]);
  });
});

describe("a failure", () => {
  test("names the author's files", async () => {
    const { code, message } = await failure("fails", "throw oh dear");
    expect(code).toBe("AGENT_FAILED");
    expect(message).toMatch(
      /Error: oh dear\n +at deeper \(index\.ts:\d+:\d+\)\n +at onMessage \(index\.ts:\d+:\d+\)$/,
    );
  });

  test.each([
    [
      "reject",
      "AGENT_FAILED",
      /Unhandled rejection: Error: nobody looks\n +at onMessage \(index\.ts/,
    ],
    ["forever", "HANDLER_NEVER_SETTLES", /no reply and no timer/],
    ["spin", "FUEL_EXHAUSTED", /fuel/],
    ["recurse", "AGENT_FAILED", /RangeError: Maximum call stack size exceeded\n +at recurse/],
    ["fill", "AGENT_FAILED", /out of memory/],
    ["fetch", "AGENT_FAILED", /fetch is not there: an agent has no network/],
    ["process", "AGENT_FAILED", /process is not there: use ctx\.config/],
    ["unknown", "AGENT_FAILED", /TypeError: what is unknown\?/],
  ])("%s", async (text, code, reason) => {
    const error = await failure("fails", text);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(reason);
    expect(await ask("fails", "shout still here")).toBe("STILL HERE!");
  });

  test.each([
    ["throw-odd 0", "AGENT_FAILED", /^.*null/],
    ["throw-odd 1", "AGENT_FAILED", /an exception without text/],
    ["throw-odd 2", "AGENT_FAILED", /a text/],
    ["throw-odd 3", "AGENT_FAILED", /an object/],
    ["throw-odd 4", "AGENT_FAILED", /an exception without text/],
    ["throw-odd 5", "AGENT_FAILED", /an exception without text/],
    ["throw-odd 6", "AGENT_FAILED", /an exception without text/],
    ["send-odd address", "INVALID_ADDRESS", /"nowhere" is not an address/],
    ["send-odd symbol", "AGENT_FAILED", /TypeError: cannot convert symbol to string/],
    ["send-odd function", "AGENT_FAILED", /TypeError: a function can't be sent/],
    ["send-odd cycle", "AGENT_FAILED", /TypeError: circular reference/],
    ["send-odd large", "MESSAGE_TOO_LARGE", /passes 262144/],
    ["send-odd key", "HOST_CALL_INVALID", /a key has 1 to 1024 bytes/],
    ["send-odd twice", "HOST_CALL_INVALID", /has replied already/],
    ["send-odd extension", "HOST_CALL_INVALID", /malformed/],
  ])("%s", async (text, code, reason) => {
    const error = await failure("odd", text);
    expect(error.message).toMatch(reason);
    expect(error.code).toBe(code);
  });

  test("of a deep stack can be caught", async () => {
    expect(await ask("fails", "recurse-caught")).toBe("RangeError");
  });
});

describe("a deployment is refused", () => {
  test.each([
    ["syntax", "let a = ;", /^index\.ts:1:9: Unexpected ";"/],
    ["a missing file", 'import "./none";', /^index\.ts:1:8: Could not resolve "\.\/none"/],
    ["a missing package", 'import "left-pad";', /npm install left-pad/],
    [
      "a built-in",
      'import fs from "node:fs"; fs.statSync(".");',
      /"node:fs" is part of Node\.js.* Agents have no files/,
    ],
    [
      "a file outside",
      'import "../../../../etc/hostname";',
      /is not a file of the agent|Could not resolve|No loader/,
    ],
    ["no handler", "export const a = 1;", /exports no function onMessage/],
    [
      "a top level that throws",
      'throw new Error("no");',
      /Error: no\n +at .*\(?index\.ts:1:\d+\)?/,
    ],
    ["a top level that never ends", "for (;;);", /used all its fuel|ran longer/],
    ["an effect at the top level", 'fetch("x");', /fetch is not there/],
    [
      "a bundle over the limit",
      `export const onMessage = () => ${JSON.stringify("x".repeat(1100000))};`,
      /limits\.bundleBytesMax is 1048576/,
    ],
  ])("%s", async (_, source, finding) => {
    const findings = await deploy("refused", new Map([["index.ts", source]]));
    expect(String(findings)).toMatch(finding);
  });
});
