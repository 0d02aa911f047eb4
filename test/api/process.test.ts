import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, constants } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXIT } from "../../src/base/exit-codes.ts";
import { ActorStatus, ListActorsRequest } from "../../src/gen/caxton/v1/actor.ts";
import { SubscribeMessagesRequest } from "../../src/gen/caxton/v1/message.ts";
import {
  runServerToItsEnd,
  type ServerOptions,
  type ServerProcess,
  startServerProcess,
} from "../support/server.ts";
import { fixtureModule, manifest, refusal, Wire, type WireError } from "../support/wire.ts";

let directory: string;
let cleanups: (() => Promise<void> | void)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "caxton-process-"));
});

afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
  rmSync(directory, { recursive: true, force: true });
});

async function start(options: ServerOptions = {}): Promise<{ server: ServerProcess; wire: Wire }> {
  const server = await startServerProcess({ directory: join(directory, "data"), ...options });
  const wire = new Wire(server.endpoint);
  cleanups.push(
    () => server.dispose(),
    () => wire.close(),
  );
  return { server, wire };
}

async function readiness({ httpPort }: ServerProcess): Promise<number> {
  return (await fetch(`http://127.0.0.1:${httpPort}/readyz`)).status;
}

async function hasActor(wire: Wire): Promise<boolean> {
  const { actors } = wire;
  const page = await wire.call(actors.listActors.bind(actors), ListActorsRequest.create());
  return page.actors.length > 0;
}

const NOT_READ = "configuration not read: nothing has changed";

describe("stopping and starting again", () => {
  test("SIGTERM ends it in order, with code 0", async () => {
    const { server, wire } = await start();
    await wire.deploy(manifest("adder"), fixtureModule("adder"));
    expect(await wire.askText("default/adder/x", "3")).toBe("3 1");
    expect(await server.kill("SIGTERM")).toEqual({ code: EXIT.ok, signal: null });
    const stopped = server.log().filter((line) => line["msg"] === "stage stopped");
    expect(stopped.map((line) => line["stage"])).toEqual([5, 4, 3, 2, 1]);

    const again = await start();
    const { node } = again.wire;
    const { status } = await again.wire.call(node.getStatus.bind(node), {});
    expect(status!.storage!.cleanStart).toBe(true);
    expect(await again.wire.askText("default/adder/x", "4")).toBe("7 2");
  });

  test("SIGHUP reads the configuration again while messages flow, and systemd is told", async () => {
    const file = join(directory, "caxton.yaml");
    writeFileSync(file, "limits: {messageBytesMax: 200}\n");
    const told = join(directory, "told");
    const notify = join(directory, "systemd-notify");
    writeFileSync(notify, `#!/bin/sh\necho "$*" >> ${told}\n`, { mode: 0o755 });
    const env = { NOTIFY_SOCKET: "@nobody", PATH: `${directory}:${process.env["PATH"]}` };
    const { server, wire } = await start({ args: ["--config", file], env });
    await wire.deploy(manifest("echo"), fixtureModule("echo"));
    const long = "x".repeat(101);
    expect(await wire.askText("default/echo/x", long)).toBe(long);
    const flow = new AbortController();
    const flowing = (async () => {
      for (let i = 0; !flow.signal.aborted; i++) {
        expect(await wire.askText("default/echo/y", String(i))).toBe(String(i));
      }
    })();
    writeFileSync(file, "limits: {messageBytesMax: 0}\n");
    server.signal("SIGHUP");
    await expect.poll(() => server.log().map(({ msg }) => msg)).toContain(NOT_READ);
    writeFileSync(file, "limits: {messageBytesMax: 100}\nlog: {level: warn}\n");
    server.signal("SIGHUP");
    const codeOf = async (): Promise<string> => {
      const answered = wire.askText("default/echo/x", long).then(() => "");
      return answered.catch((error: unknown) => (error as WireError).detail!.code);
    };
    await expect.poll(codeOf).toBe("MESSAGE_TOO_LARGE");
    flow.abort();
    await flowing;
    await server.kill("SIGTERM");
    const reload = ["RELOADING=1", "READY=1"];
    const states = readFileSync(told, "utf8").split("\n");
    expect(states.map((line) => line.replace(/ MONOTONIC_USEC=\d+$/, ""))).toEqual([
      "READY=1",
      ...reload,
      ...reload,
      "STOPPING=1",
      "",
    ]);
  });

  test("a kill loses nothing that was answered", async () => {
    const { server, wire } = await start();
    await wire.deploy(manifest("adder"), fixtureModule("adder"));
    for (let i = 0; i < 20; i++) await wire.askText("default/adder/x", "1");
    await server.kill("SIGKILL");

    const again = await start();
    expect(await again.wire.askText("default/adder/x", "0")).toBe("20 21");
    expect(again.server.log()).toContainEqual(
      expect.objectContaining({ msg: "the last stop was not clean" }),
    );
  });

  test("SIGINT ends it too; open streams do not hold it up and are told why", async () => {
    const { server, wire } = await start();
    const stream = wire.messages.subscribeMessages(SubscribeMessagesRequest.create());
    await new Promise((resolve) => stream.once("metadata", resolve));
    const reading = stream.toArray();
    const ended = server.kill("SIGINT");
    await expect(reading).rejects.toThrow("The node is stopping.");
    expect(await ended).toEqual({ code: EXIT.ok, signal: null });
  });

  test("calls under way finish over gRPC and REST; the node is not ready meanwhile", async () => {
    const { server, wire } = await start({ sets: ["api.drainMs=60000"] });
    await wire.deploy(manifest("probe"), fixtureModule("probe"));
    const asked = wire.askText("default/probe/grpc", "wait 1 1500");
    const body = JSON.stringify({ receiver: "default/probe/rest", content: "wait 2 1500" });
    const url = `http://127.0.0.1:${server.restPort}/api/v1/messages:ask`;
    const headers = { "content-type": "application/json" };
    const fetched = fetch(url, { method: "POST", headers, body });
    const { actors } = wire;
    const open = async () => {
      const request = ListActorsRequest.create({ agent: "probe", status: ActorStatus.OPEN });
      return (await wire.call(actors.listActors.bind(actors), request)).actors.length;
    };
    await expect.poll(open).toBe(2);
    const ended = server.kill("SIGTERM");
    await expect.poll(() => readiness(server)).toBe(503);
    expect(await asked).toBe("timer 1");
    expect(await (await fetched).json()).toMatchObject({ reply: { content: "timer 2" } });
    expect(await ended).toEqual({ code: EXIT.ok, signal: null });
  });

  test("a second signal ends it at once", async () => {
    const { server, wire } = await start({ sets: ["api.drainMs=600000"] });
    await wire.deploy(manifest("probe"), fixtureModule("probe"));
    const asked = refusal(wire.askText("default/probe/grpc", "wait 1 600000"));
    await expect.poll(() => hasActor(wire)).toBe(true);
    server.signal("SIGTERM");
    await expect.poll(() => readiness(server)).toBe(503);
    expect(await server.kill("SIGTERM")).toEqual({ code: EXIT.failure, signal: null });
    expect((await asked).status).toBe(status.UNAVAILABLE);
  });

  test("an asker gets an answer when the node stops", async () => {
    const { server, wire } = await start({ sets: ["api.drainMs=50"] });
    await wire.deploy(manifest("echo"), fixtureModule("echo"));
    const { agents } = wire;
    const echo = { namespace: "default", name: "echo", reason: "" };
    await wire.call(agents.suspendAgent.bind(agents), echo);
    const asking = refusal(wire.askText("default/echo/x", "hi"));
    const { actors } = wire;
    const request = { namespace: "", agent: "echo", status: ActorStatus.UNSPECIFIED };
    const waiting = async () => {
      const page = { ...request, pageSize: 0, pageToken: "" };
      const answer = await wire.call(actors.listActors.bind(actors), page);
      return answer.actors.map((actor) => actor.mailboxMessages);
    };
    await expect.poll(waiting, { timeout: 10_000 }).toEqual([1]);
    const ended = server.kill("SIGTERM");
    expect((await asking).detail?.code).toBe("NOT_READY");
    expect(await ended).toEqual({ code: EXIT.ok, signal: null });
  });

  test("--ports-file is there while the node is ready, and goes with it", async () => {
    const file = join(directory, "ports.json");
    const { server } = await start({ args: ["--ports-file", file] });
    const read = (): unknown => JSON.parse(readFileSync(file, "utf8"));
    const { pid, grpcPort, httpPort, restPort } = server;
    expect(read()).toEqual({ pid, grpcPort, httpPort, restPort });
    await server.kill("SIGTERM");
    expect(read).toThrow("ENOENT");
  });
});

describe("connections", () => {
  test("are pinged when silent", async () => {
    const { server } = await start({ sets: ["api.grpc.keepAliveMs=1000"] });
    const session = connect(`http://${server.endpoint}`);
    await new Promise((resolve) => session.once("ping", resolve));
    session.destroy();
  });

  test("end at their age, without ending calls", async () => {
    const sets = ["api.grpc.connectionAgeMs=1500", "api.grpc.connectionAgeGraceMs=60000"];
    const { server, wire } = await start({ sets });
    await wire.deploy(manifest("probe"), fixtureModule("probe"));
    // On a connection that is young when the call begins, and old before it ends.
    const young = new Wire(server.endpoint);
    cleanups.push(() => young.close());
    const asked = young.askText("default/probe/long", "wait 1 2500");
    const session = connect(`http://${server.endpoint}`);
    const code = await new Promise<number>((resolve) => session.once("goaway", resolve));
    expect(code).toBe(constants.NGHTTP2_NO_ERROR);
    session.destroy();
    expect(await asked).toBe("timer 1");
    expect(await young.askText("default/probe/long", "self")).toBe("default/probe/long");
  });
});

describe("refusing to start", () => {
  test("--daemon", async () => {
    const { code, stderr } = await runServerToItsEnd({ args: ["--daemon"] });
    expect(code).toBe(EXIT.usage);
    expect(stderr).toContain("systemd");
  });

  test("a configuration with mistakes: all of them, and nothing is made", async () => {
    const file = join(directory, "config.yaml");
    writeFileSync(file, "storage: {directroy: x}\nlog: {level: loud}\n");
    const data = join(directory, "data");
    const { code, stderr } = await runServerToItsEnd({
      directory: data,
      args: ["--config", file],
    });
    expect(code).toBe(EXIT.invalid);
    expect(stderr).toContain('storage.directroy: unknown key (Did you mean "directory"?)');
    expect(stderr).toContain("log.level: expected one of");
    expect(stderr).toContain("fix: ");
    expect(() => readFileSync(join(data, "FORMAT"))).toThrow("ENOENT");
  });

  test("beyond this machine, unless told so", async () => {
    const sets = ["api.grpc.host=0.0.0.0"];
    const { code, stderr } = await runServerToItsEnd({ directory: join(directory, "data"), sets });
    expect(code).toBe(EXIT.conflict);
    expect(stderr).toContain("code: INSECURE_BIND");
    const { wire } = await start({ sets, args: ["--insecure"] });
    const { node } = wire;
    const { status } = await wire.call(node.getStatus.bind(node), {});
    expect(status!.ready).toBe(true);
  });

  test("another number of partitions than the directory was made for", async () => {
    const { server } = await start();
    await server.kill("SIGTERM");
    const sets = ["partitions.count=8"];
    const { code, stderr } = await runServerToItsEnd({ directory: join(directory, "data"), sets });
    expect(code).not.toBe(EXIT.ok);
    expect(stderr).toContain("partitions.count");
  });
});
