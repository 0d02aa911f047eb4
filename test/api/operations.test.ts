import { Client, credentials, status } from "@grpc/grpc-js";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HealthCheckResponse_ServingStatus as Serving } from "../../src/gen/grpc/health/v1/health.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, refusal, Wire } from "../support/wire.ts";

let server: ServerProcess;
let wire: Wire;

beforeAll(async () => {
  server = await startServerProcess();
  wire = new Wire(server.endpoint);
});

afterAll(async () => {
  wire.close();
  await server.dispose();
});

async function http(path: string, method = "GET"): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${server.httpPort}${path}`, { method });
  return { status: response.status, body: await response.text() };
}

describe("health", () => {
  test.each(["", "caxton.v1.MessageService"])("gRPC: %j serves", async (service) => {
    const { health } = wire;
    const answer = await wire.call(health.check.bind(health), { service });
    expect(answer.status).toBe(Serving.SERVING);
  });

  test("gRPC: an unknown service", async () => {
    const { health } = wire;
    const error = await refusal(wire.call(health.check.bind(health), { service: "x.Y" }));
    expect(error.status).toBe(status.NOT_FOUND);
  });

  test("gRPC: a watcher is told at once", async () => {
    const stream = wire.health.watch({ service: "" });
    const [first] = await stream.take(1).toArray();
    expect(first).toEqual({ status: Serving.SERVING });
    stream.cancel();
  });

  test("HTTP: alive and ready", async () => {
    expect(await http("/livez")).toEqual({ status: 200, body: "alive\n" });
    expect(await http("/readyz")).toEqual({ status: 200, body: "ready\n" });
  });

  test("HTTP: other paths and methods", async () => {
    expect(await http("/")).toMatchObject({ status: 404 });
    expect(await http("/livez", "POST")).toMatchObject({ status: 405 });
  });
});

describe("metrics", () => {
  async function value(name: string): Promise<number> {
    const { body } = await http("/metrics");
    const line = body.split("\n").find((text) => text.startsWith(`${name} `));
    return Number(line?.split(" ")[1]);
  }

  test("they count what happened, and scraping does not", async () => {
    await wire.deploy(manifest("counted"), fixtureModule("adder"));
    const before = {
      accepted: await value("caxton_messages_accepted_total"),
      turns: await value("caxton_turns_total"),
      commits: await value("caxton_storage_commits_total"),
    };
    const message = {
      receiver: "default/counted/x",
      contentType: "text/plain",
      content: bytes("1"),
    };
    for (let i = 0; i < 3; i++) await wire.ask({ ...message, id: "once" });
    await wire.ask(message);
    expect(await value("caxton_messages_accepted_total")).toBe(before.accepted + 2);
    expect(await value("caxton_turns_total")).toBe(before.turns + 2);
    expect(await value("caxton_turns_total")).toBe(before.turns + 2);
    expect(await value("caxton_storage_commits_total")).toBeGreaterThan(before.commits);
    expect(await value("caxton_ready")).toBe(1);
    const answered = 'caxton_request_duration_seconds_count{method="Ask",code="OK"}';
    expect((await http("/metrics")).body).toContain(`${answered} 4\n`);
  });
});

describe("reflection", () => {
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  /** Field numbers of ServerReflectionRequest. */
  const FILE_CONTAINING_SYMBOL = 4;
  const LIST_SERVICES = 7;

  async function reflect(field: number, text: string): Promise<Buffer> {
    const client = new Client(server.endpoint, credentials.createInsecure());
    const stream = client.makeBidiStreamRequest(
      path,
      (b: Buffer) => b,
      (b: Buffer) => b,
    );
    stream.write(
      Buffer.from(
        new BinaryWriter()
          .uint32((field << 3) | 2)
          .string(text)
          .finish(),
      ),
    );
    const answer = await new Promise<Buffer>((resolve) => stream.once("data", resolve));
    const ended = new Promise((resolve) => stream.once("end", resolve));
    stream.end();
    await ended;
    client.close();
    return answer;
  }

  test("lists the services", async () => {
    const names = (await reflect(LIST_SERVICES, "*")).toString("latin1");
    for (const service of ["AgentService", "MessageService", "NodeService", "DeadLetterService"]) {
      expect(names).toContain(`caxton.v1.${service}`);
    }
    expect(names).toContain("grpc.health.v1.Health");
  });

  test("hands out the file of a symbol", async () => {
    const file = await reflect(FILE_CONTAINING_SYMBOL, "caxton.v1.MessageService");
    expect(file.toString("latin1")).toContain("caxton/v1/message.proto");
    expect(file.toString("latin1")).toContain("SubscribeMessages");
  });
});
