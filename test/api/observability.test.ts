import { execFile } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ActorStatus } from "../../src/gen/caxton/v1/actor.ts";
import { OutgoingMessage } from "../../src/gen/caxton/v1/message.ts";
import { type Collector, type CollectedSpan, startCollector } from "../support/collector.ts";
import { LAUNCHER, type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, refusal, Wire } from "../support/wire.ts";

let server: ServerProcess;
let wire: Wire;
let collector: Collector;

const directory = mkdtempSync(join(tmpdir(), "caxton-observed-"));

async function start(): Promise<void> {
  server = await startServerProcess({
    directory,
    // Only what a caller wants traced is.
    sets: ["log.slowTurnMs=1", "tracing.sampleRatio=0"],
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint },
  });
  wire = new Wire(server.endpoint);
}

beforeAll(async () => {
  collector = await startCollector();
  await start();
});

afterAll(async () => {
  wire.close();
  await server.dispose();
  await collector.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function figures(): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`);
  const lines = (await response.text()).split("\n").filter((line) => !line.startsWith("#"));
  return new Map(lines.map((line) => [line.split(" ")[0]!, Number(line.split(" ")[1])]));
}

describe("what turns cost, by agent", () => {
  test("every turn is counted, and only those that handled their message have a latency", async () => {
    await wire.deploy(manifest("costs", "{attemptsMax: 1}"), fixtureModule("adder"));
    await wire.deploy(manifest("fails", "{attemptsMax: 1}"), fixtureModule("hostile"));
    for (const key of ["a", "b", "c"]) await wire.askText(`default/costs/${key}`, "1");
    await refusal(wire.askText("default/fails/x", "trap"));
    const found = await figures();
    const value = (name: string, agent: string): number =>
      found.get(`caxton_agent_${name}{agent="default/${agent}"}`)!;
    expect(value("message_latency_seconds_count", "costs")).toBe(3);
    expect(value("turn_duration_seconds_count", "costs")).toBe(3);
    expect(value("turn_duration_seconds_sum", "costs")).toBeGreaterThan(0);
    expect(value("turn_fuel_count", "costs")).toBe(3);
    expect(value("turn_fuel_sum", "costs")).toBeGreaterThan(100);
    expect(value("message_latency_seconds_count", "fails")).toBe(0);
    expect(value("turn_duration_seconds_count", "fails")).toBe(1);
  });

  test("buckets add up, and fuel beyond the limit counts as the limit", async () => {
    const spec = "{attemptsMax: 1, limits: {fuelPerMessage: 100000}}";
    await wire.deploy(manifest("burns", spec), fixtureModule("hostile"));
    const error = await refusal(wire.askText("default/burns/x", "loop"));
    expect(error.detail?.code).toBe("FUEL_EXHAUSTED");
    const found = await figures();
    const upTo = (le: string): number =>
      found.get(`caxton_agent_turn_fuel_bucket{agent="default/burns",le="${le}"}`)!;
    expect([upTo("10000"), upTo("100000"), upTo("+Inf")]).toEqual([0, 1, 1]);
    expect(found.get('caxton_agent_turn_fuel_sum{agent="default/burns"}')).toBe(100_000);
  });

  test("memory is that of the agent's actors", async () => {
    const before = await wire.deploy(manifest("roomy"), fixtureModule("adder"));
    expect(before.changed).toBe(true);
    const name = 'caxton_agent_memory_bytes{agent="default/roomy"}';
    expect((await figures()).get(name)).toBe(0);
    await wire.askText("default/roomy/a", "1");
    const one = (await figures()).get(name)!;
    expect(one).toBeGreaterThanOrEqual(65_536);
    await wire.askText("default/roomy/b", "1");
    expect((await figures()).get(name)).toBe(2 * one);
  });
});

describe("slow turns", () => {
  const slowTurns = (agent: string) =>
    server
      .log()
      .filter(({ msg, actor }) => msg === "slow turn" && String(actor).includes(`/${agent}/`));

  test("one is named with its actor, message, fuel and time, and the next ones are not", async () => {
    const spec = "{attemptsMax: 1, limits: {fuelPerMessage: 50000000}}";
    await wire.deploy(manifest("slow", spec), fixtureModule("hostile"));
    const ask = (key: string, id: string, text: string) =>
      wire.ask({
        id,
        receiver: `default/slow/${key}`,
        contentType: "text/plain",
        content: bytes(text),
      });
    await refusal(ask("a", "first", "loop"));
    await expect
      .poll(() => slowTurns("slow"), { timeout: 10_000 })
      .toEqual([
        expect.objectContaining({
          level: 40,
          actor: "default/slow/a",
          message: "first",
          fuel: 50_000_000,
          tookMs: expect.any(Number) as number,
        }),
      ]);
    await refusal(ask("b", "second", "loop"));
    await ask("c", "third", "handled");
    expect(slowTurns("slow")).toHaveLength(1);
  });
});

describe("health", () => {
  test("every component has a figure; a suspended agent shows in its own only", async () => {
    const health = async (component: string) =>
      (await figures()).get(`caxton_health{component="${component}"}`);
    for (const component of ["node", "storage", "partitions", "agents"]) {
      expect(await health(component)).toBe(1);
    }
    await wire.deploy(manifest("idle"), fixtureModule("adder"));
    const { agents } = wire;
    const idle = { namespace: "default", name: "idle" };
    await wire.call(agents.suspendAgent.bind(agents), { ...idle, reason: "a test" });
    expect(await health("agents")).toBe(0);
    expect(await health("node")).toBe(1);
    await wire.call(agents.resumeAgent.bind(agents), idle);
    expect(await health("agents")).toBe(1);
  });
});

describe("traces", () => {
  const CALLER = "00f067aa0ba902b7";
  const SAMPLED = "4bf92f3577b34da6a3ce929d0e0e4736";
  const UNSAMPLED = "0af7651916cd43dd8448eb211c80319c";

  function ask(traceparent: string, receiver: string, text: string): Promise<unknown> {
    const message = { receiver, contentType: "text/plain", content: bytes(text) };
    const request = { message: OutgoingMessage.create(message), timeoutMs: 0 };
    return wire.call(wire.messages.ask.bind(wire.messages), request, { metadata: { traceparent } });
  }

  const spansOf = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);

  /** A span by its name and, when it has one, its actor. */
  const label = (span: CollectedSpan): string =>
    [span.name, span.attributes["caxton.actor"]].filter((part) => part !== undefined).join(" ");

  test("one ask through two agents is one trace with the right parents, and an unsampled one is none", async () => {
    await wire.deploy(manifest("front"), fixtureModule("asker"));
    await wire.deploy(manifest("back"), fixtureModule("echo"));
    await ask(`00-${UNSAMPLED}-${CALLER}-00`, "default/front/a", "default/back/b 5000 hello");
    await ask(`00-${SAMPLED}-${CALLER}-01`, "default/front/a", "default/back/b 5000 hello");
    await expect.poll(() => spansOf(SAMPLED).length, { timeout: 10_000 }).toBe(10);
    const spans = spansOf(SAMPLED);
    const bySpanId = new Map(spans.map((span) => [span.spanId, span]));
    expect(bySpanId.size).toBe(10);
    const [api] = spans.filter(({ name }) => name === "caxton.api.ask");
    expect(api).toMatchObject({ parentSpanId: CALLER, kind: 2 });
    const turns = spans.filter(({ name }) => name === "caxton.turn");
    const first = turns.find(({ parentSpanId }) => parentSpanId === api!.spanId)!;
    const second = turns.find(({ parentSpanId }) => parentSpanId === first.spanId)!;
    const third = turns.find(({ parentSpanId }) => parentSpanId === second.spanId)!;
    expect([first, second, third].map(label)).toEqual([
      "caxton.turn default/front/a",
      "caxton.turn default/back/b",
      "caxton.turn default/front/a",
    ]);
    for (const turn of [first, second, third]) {
      expect(turn.attributes["caxton.fuel"]).toBeGreaterThan(0);
      const commits = spans.filter(({ parentSpanId }) => parentSpanId === turn.spanId);
      expect(commits.map(({ name }) => name)).toContain("caxton.commit");
      const waits = spans.filter(
        ({ name, parentSpanId }) =>
          name === "caxton.message.wait" && parentSpanId === turn.parentSpanId,
      );
      expect(waits.map((span) => span.attributes["caxton.message.id"])).toEqual([
        turn.attributes["caxton.message.id"],
      ]);
    }
    for (const { start, end } of spans) expect(end >= start).toBe(true);
    expect(spansOf(UNSAMPLED)).toEqual([]);
    expect(collector.resources).toContainEqual(
      expect.objectContaining({ "service.name": "caxton" }),
    );
  });

  test("what an agent logs in a turn has the trace's id, sampled or not", async () => {
    await wire.deploy(manifest("traced"), fixtureModule("probe"));
    await ask(`00-${UNSAMPLED}-${CALLER}-00`, "default/traced/a", "log 1 one");
    await wire.askText("default/traced/a", "log 1 two");
    const ids = () =>
      server
        .log()
        .flatMap(({ actor, msg, traceId }) =>
          actor === "default/traced/a" && msg !== "slow turn" ? [[msg, traceId]] : [],
        );
    await expect.poll(ids, { timeout: 10_000 }).toEqual([
      ["one", UNSAMPLED],
      ["two", undefined],
    ]);
  });

  test("a failed turn says why, and so does the request", async () => {
    const traceId = "5bf92f3577b34da6a3ce929d0e0e4736";
    await wire.deploy(manifest("broken", "{attemptsMax: 1}"), fixtureModule("hostile"));
    await refusal(ask(`00-${traceId}-${CALLER}-01`, "default/broken/a", "trap"));
    const failures = () =>
      spansOf(traceId).flatMap((span) => (span.error === undefined ? [] : [label(span)]));
    await expect
      .poll(() => failures().sort(), { timeout: 10_000 })
      .toEqual(["caxton.api.ask", "caxton.turn default/broken/a"]);
    expect((await figures()).get('caxton_spans_total{outcome="exported"}')).toBeGreaterThan(0);
  });
});

describe("after the process was killed", () => {
  test("what agents logged is there, but for a torn line; what belonged to a trace is replayed", async () => {
    await wire.deploy(manifest("scribe"), fixtureModule("probe"));
    const write = (text: string) => wire.askText("default/scribe/a", `log 1 ${text}`);
    await write("before");
    const file = join(directory, "agent-logs/default.scribe.jsonl");
    await expect.poll(() => readFileSync(file, "utf8"), { timeout: 10_000 }).toContain("before");
    wire.close();
    await server.kill("SIGKILL");
    appendFileSync(file, '{"timeMs":1');
    await start();
    await write("after");
    const { stdout } = await promisify(execFile)(LAUNCHER, ["agent", "logs", "scribe"], {
      env: { ...process.env, CAXTON_ENDPOINT: server.endpoint },
    });
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => line.replace(/^.*Z /, ""))).toEqual([
      "info  default/scribe/a before",
      "info  default/scribe/a after",
    ]);
    expect(await wire.askText("default/front/a", "default/back/b 5000 again")).toBe("again");
    const held = await wire.call(wire.actors.listActors.bind(wire.actors), {
      namespace: "",
      agent: "",
      status: ActorStatus.HELD,
      pageSize: 0,
      pageToken: "",
    });
    expect(held.actors).toEqual([]);
  });
});
