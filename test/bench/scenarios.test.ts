/** Every benchmark runs, verifies what it measured and says so; how fast is nobody's business here. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { withCaxtonCounters } from "../../bench/harness/caxton-counters.ts";
import type { Report } from "../../bench/harness/report.ts";
import { measureCounters } from "../../bench/scenarios/peer-restate.ts";

const MAIN = join(import.meta.dirname, "../../bench/main.ts");
const run = promisify(execFile);

const directory = mkdtempSync(join(tmpdir(), "caxton-bench-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function bench(...args: string[]): Promise<Report> {
  const all = ["--no-warnings", MAIN, ...args, "--json", "--directory", directory];
  const { stdout } = await run(process.execPath, all);
  const lines = stdout.trimEnd().split("\n");
  return JSON.parse(lines.at(-1)!) as Report;
}

function expectFigures(report: Report, names: readonly string[]): void {
  for (const name of names) expect(report.figures[name], name).toBeGreaterThan(0);
}

const RING = ["--seconds", "0.4", "--in-flight", "50"];

test("a ring is killed, reopened and found complete", async () => {
  const report = await bench("tell-durable", ...RING, "--actors", "20");
  expect(report.scenario).toBe("tell-durable");
  expectFigures(report, ["messages_per_second", "p50_ms", "p99_ms", "cpu_us_per_message"]);
  expect(report.figures["verified_actors"]).toBe(20);
  expect(report.figures["verified_messages"]).toBeGreaterThan(50);
  expect(report.ratios["of_hot_loop"]).toBeGreaterThan(0);
  expect(report.environment["fsync_4kb_p50_ms"]).toBeGreaterThan(0);
});

test("what a plain NATS client publishes is counted when it is handled", async () => {
  const sizes = ["--messages", "2000", "--payload-bytes", "100", "--seconds", "0.2"];
  const report = await bench("native", ...sizes, "--storage", "jetstream");
  expectFigures(report, ["handled_per_second", "acked_handled_per_second"]);
  expectFigures(report, ["ask_p50_ms", "asks_per_second_at_64"]);
  // 2,000 to warm up, 2,000 plain, 500 of which each is acknowledged.
  expect(report.figures["verified_messages"]).toBe(4500);
  for (const who of ["publisher", "nats_server", "caxton", "caxton_main_thread"]) {
    expect(report.figures[`${who}_cpu_us_per_message`]).toBeGreaterThanOrEqual(0);
  }
  await expect(bench("native", ...sizes)).rejects.toThrow(/need --storage/);
});

test("a ring on three nats-servers is killed, reopened and found complete", async () => {
  const storage = ["--storage", "jetstream-fast", "--replicas", "3"];
  const report = await bench("tell-durable", ...RING, "--actors", "20", ...storage);
  expectFigures(report, ["messages_per_second", "verified_messages"]);
  expect(report.environment["storage"]).toBe("jetstream-fast");
  expect(report.environment["replicas"]).toBe(3);
  await expect(bench("tell-durable", "--replicas", "3")).rejects.toThrow(/needs --storage/);
});

test("the leader of the log is killed, and what was acknowledged is there once", async () => {
  const report = await bench("failover-nats", "--rounds", "1");
  for (const place of ["apart", "connected"]) {
    expectFigures(report, [`${place}_caxton_ack_p50_ms`, `${place}_nats_ack_max_ms`]);
    expect(report.ratios[`${place}_caxton_to_floor`]).toBeGreaterThan(0);
  }
  expectFigures(report, ["verified_messages", "verified_nats_messages"]);
  expect(report.environment["storage"]).toBe("jetstream-fast");
});

test("a ring without a log counts what it did, on one core and on two", async () => {
  const sizes = ["--seconds", "0.5", "--in-flight", "50", "--actors", "2"];
  const report = await bench("throughput-cores", "--durability", "ephemeral", ...sizes);
  for (const cores of [1, 2]) {
    const names = ["messages_per_second", "p50_ms", "p99_ms", "verified_messages"];
    expectFigures(
      report,
      names.map((name) => `ephemeral_${name}_on_${cores}`),
    );
    expect(report.figures[`ephemeral_verified_actors_on_${cores}`]).toBe(2);
  }
  expect(report.ratios["ephemeral_2_to_1"]).toBeGreaterThan(0);
});

test("asks are measured beside what they can't do without", async () => {
  const report = await bench("invoke", "--seconds", "1");
  expectFigures(report, ["p50_ms", "p99_ms", "echo_p50_ms", "commit_p50_ms", "p99_ms_at_64"]);
  expect(report.figures).toHaveProperty("overhead_p50_ms");
});

test("REST is measured beside a bare HTTP server, gRPC and the kernel alone", async () => {
  const report = await bench("rest", "--seconds", "0.3");
  const sides = ["ask", "bare_ask", "status", "bare_status"];
  expectFigures(
    report,
    [...sides, "grpc_ask", "kernel_ask"].map((side) => `${side}_p50_ms`),
  );
  expectFigures(
    report,
    sides.map((side) => `${side}_per_second_at_64`),
  );
  expect(report.figures).toHaveProperty("overhead_p50_ms");
  expect(report.ratios["ask_rate_of_bare"]).toBeGreaterThan(0);
});

test("the limits of the machine are measured one by one", async () => {
  const report = await bench("limits", "--seconds", "1");
  const perSecond = ["append_16kb", "append_256kb", "wasm_calls", "hot_loop_durable_messages"];
  expectFigures(report, [...perSecond.map((name) => `${name}_per_second`), "echo_p50_ms"]);
});

test("live actors are counted against the server's memory", async () => {
  const report = await bench("density", "--small", "200", "--js", "0");
  expectFigures(report, ["actors_per_gb_small", "rss_small_mb", "rss_base_mb"]);
  expect(report.figures["verified_small_actors"]).toBe(200);
});

test("actors come back from the store, one at a time", async () => {
  const report = await bench("activate", "--small", "100", "--js", "0", "--seconds", "1");
  expectFigures(report, ["small_ask_p50_us", "small_ask_live_p50_us"]);
  expectFigures(report, ["verified_small_activations"]);
});

test("a killed server answers for every partition, then for every actor", async () => {
  const sizes = ["--actors", "300", "--turns", "3", "--tail-turns", "60000"];
  const report = await bench("recover", ...sizes);
  expectFigures(report, ["ready_seconds", "all_exact_seconds", "replayed_turns_per_second"]);
  expect(report.figures["verified_partitions"]).toBe(16);
  expect(report.figures["verified_actors"]).toBe(300);
  expect(report.figures["replayed_turns"]).toBeGreaterThanOrEqual(20_000);
});

test("our side of a comparison with a peer, which is fetched for that alone", async () => {
  const options = { directory, seconds: 0.05, nats: [], say: () => {} };
  const data = join(directory, "counters");
  const { figures, configuration } = await withCaxtonCounters(data, (server) =>
    measureCounters(server, options),
  );
  rmSync(data, { recursive: true });
  expect(configuration).toContain("partitions.count=16");
  expect(figures["ask_p50_ms_at_64"]).toBeGreaterThan(0);
  expect(figures["sends_per_second_best"]).toBeGreaterThan(0);
  expect(figures["verified_sends"]).toBeGreaterThan(5000);
});

test("half of what a server can do, for a while", async () => {
  const report = await bench("soak", "--seconds", "3", "--actors", "50");
  expectFigures(report, ["capacity_turns_per_second", "asks_per_second", "p99_last_ms"]);
  expectFigures(report, ["disk_bytes_max", "verified_messages"]);
  expect(report.figures).toHaveProperty("rss_growth_percent");
  expect(report.ratios["p99_drift_ratio"]).toBeGreaterThan(0);
});

test("nothing is left behind, and memory passes for no disk", async () => {
  expect(readdirSync(directory)).toEqual([]);
  const inMemory = run(process.execPath, [MAIN, "limits", "--directory", "/dev/shm"]);
  await expect(inMemory).rejects.toThrow(/no disk/);
});
