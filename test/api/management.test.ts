import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configSchema } from "../../src/base/config-schema.ts";
import { settingsOf } from "../../src/base/schema.ts";
import { ActorStatus } from "../../src/gen/caxton/v1/actor.ts";
import { AgentStatus, DeployStageName } from "../../src/gen/caxton/v1/agent.ts";
import { SupervisorNodeKind } from "../../src/gen/caxton/v1/supervisor.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, refusal, Wire } from "../support/wire.ts";

let server: ServerProcess;
let wire: Wire;

beforeAll(async () => {
  server = await startServerProcess();
  wire = new Wire(server.endpoint);
  await wire.deploy(manifest("probe", "{attemptsMax: 1}"), fixtureModule("probe"));
});

afterAll(async () => {
  wire.close();
  await server.dispose();
});

function named(name: string): { namespace: string; name: string } {
  return { namespace: "default", name };
}

describe("deploying", () => {
  test("the answer has the agent, every limit and the four stages", async () => {
    const spec = "{limits: {memoryPagesMax: 32}, config: {greeting: hello}, flags: {loud: true}}";
    const { agent, changed, stages } = await wire.deploy(
      manifest("fresh", spec),
      fixtureModule("echo"),
    );
    expect(changed).toBe(true);
    expect(agent).toMatchObject({
      namespace: "default",
      name: "fresh",
      status: AgentStatus.RUNNING,
    });
    expect(agent!.version).toMatch(/^[0-9a-f]{64}$/);
    expect(agent!.manifest).toMatchObject({ config: { greeting: "hello" }, flags: { loud: true } });
    expect(agent!.manifest!.limits).toMatchObject({
      memoryPagesMax: 32,
      fuelPerMessage: 100_000_000,
      effectsBytesMax: 524_288,
    });
    expect(stages.map(({ stage, passed }) => [stage, passed])).toEqual([
      [DeployStageName.STATIC, true],
      [DeployStageName.SANDBOX, true],
      [DeployStageName.CONTRACT, true],
      [DeployStageName.RESOURCES, true],
    ]);
  });

  test("the same again changes nothing", async () => {
    const first = await wire.deploy(manifest("same"), fixtureModule("echo"));
    const second = await wire.deploy(manifest("same"), fixtureModule("echo"));
    expect([first.changed, second.changed]).toEqual([true, false]);
    expect(second.agent!.version).toBe(first.agent!.version);
  });

  test("AssemblyScript sources are compiled by the server", async () => {
    const { agents } = wire;
    const files = {
      "index.ts": `import { Message, reply } from "caxton";
export function onMessage(message: Message): void { reply(message.text + "!"); }
`,
    };
    const source = { $case: "bundle" as const, value: { language: "assemblyscript", files } };
    const request = { manifest: manifest("compiled"), source, resetMemory: false };
    await wire.call(agents.deployAgent.bind(agents), request);
    expect(await wire.askText("default/compiled/x", "hi")).toBe("hi!");
  });

  test("sources that do not compile: every finding with its place", async () => {
    const { agents } = wire;
    const files = { "index.ts": "export function onMessage(m: Nope): void {\n  return 5 +;\n}\n" };
    const source = { $case: "bundle" as const, value: { language: "assemblyscript", files } };
    const request = { manifest: manifest("broken"), source, resetMemory: false };
    const error = await refusal(wire.call(agents.deployAgent.bind(agents), request));
    expect(error.detail?.code).toBe("COMPILE_FAILED");
    expect(error.detail!.findings[0]!.at).toContain("index.ts");
    expect((await refusal(wire.askText("default/broken/x", ""))).detail?.code).toBe(
      "AGENT_NOT_FOUND",
    );
  });

  test("a manifest with mistakes: every finding, nothing registered", async () => {
    const spec = "{limits: {memoryPageMax: 1, timersMax: 0}}";
    const error = await refusal(wire.deploy(manifest("wrong", spec), fixtureModule("echo")));
    expect(error.detail).toMatchObject({
      code: "INVALID_MANIFEST",
      findings: [
        { at: "spec.limits.timersMax", message: "must be at least 1, found 0" },
        { at: "spec.limits.memoryPageMax", hint: 'Did you mean "memoryPagesMax"?' },
      ],
    });
    const { agents } = wire;
    const absent = await refusal(wire.call(agents.getAgent.bind(agents), named("wrong")));
    expect(absent.status).toBe(status.NOT_FOUND);
  });

  test("bytes that are no module", async () => {
    const error = await refusal(wire.deploy(manifest("garbage"), bytes("not wasm at all")));
    expect(error.detail?.code).toBe("INVALID_MODULE");
    expect(error.detail!.findings.length).toBeGreaterThan(0);
  });

  test("an empty request: all that is missing", async () => {
    const { agents } = wire;
    const request = { manifest: "", source: undefined, resetMemory: false };
    const error = await refusal(wire.call(agents.deployAgent.bind(agents), request));
    expect(error.detail!.findings.map(({ at }) => at)).toEqual(["manifest", "module"]);
  });

  test("a bundle with an unknown language and a path that leaves it", async () => {
    const { agents } = wire;
    const value = { language: "assemblyscrip", files: { "../index.ts": "" } };
    const source = { $case: "bundle" as const, value };
    const request = { manifest: manifest("outside"), source, resetMemory: false };
    const error = await refusal(wire.call(agents.deployAgent.bind(agents), request));
    expect(error.detail!.findings).toEqual([
      {
        at: "bundle.language",
        message: "unknown language",
        hint: 'Did you mean "assemblyscript"?',
      },
      { at: "bundle.files", message: '"../index.ts" is not a path inside the bundle', hint: "" },
    ]);
  });
});

describe("an agent's life", () => {
  test("list, suspend, resume, delete", async () => {
    const { agents } = wire;
    const listed = async (): Promise<[string, string][]> => {
      const answer = await wire.call(agents.listAgents.bind(agents), { namespace: "default" });
      return answer.agents.map(({ name, status: state }) => [name, state]);
    };
    await wire.deploy(manifest("living"), fixtureModule("echo"));
    expect(await listed()).toContainEqual(["living", AgentStatus.RUNNING]);

    const request = { ...named("living"), reason: "maintenance" };
    const suspended = await wire.call(agents.suspendAgent.bind(agents), request);
    expect(suspended.agent).toMatchObject({
      status: AgentStatus.SUSPENDED,
      reason: "maintenance",
    });
    expect(await listed()).toContainEqual(["living", AgentStatus.SUSPENDED]);

    const resumed = await wire.call(agents.resumeAgent.bind(agents), named("living"));
    expect(resumed.agent).toMatchObject({ status: AgentStatus.RUNNING, reason: "" });
    expect(await wire.askText("default/living/x", "back")).toBe("back");

    await wire.call(agents.deleteAgent.bind(agents), named("living"));
    expect((await listed()).map(([name]) => name)).not.toContain("living");
    const error = await refusal(wire.askText("default/living/x", ""));
    expect(error.detail?.code).toBe("AGENT_NOT_FOUND");
  });

  test("an empty namespace lists all, another one none", async () => {
    const { agents } = wire;
    const all = await wire.call(agents.listAgents.bind(agents), { namespace: "" });
    const none = await wire.call(agents.listAgents.bind(agents), { namespace: "elsewhere" });
    expect(all.agents.map(({ name }) => name)).toContain("probe");
    expect(none.agents).toEqual([]);
  });

  test.each(["getAgent", "suspendAgent", "resumeAgent", "deleteAgent"] as const)(
    "%s of nobody",
    async (method) => {
      const { agents } = wire;
      const call = agents[method].bind(agents) as typeof agents.suspendAgent;
      const error = await refusal(wire.call(call, { ...named("nobody"), reason: "" }));
      expect(error.detail?.code).toBe("AGENT_NOT_FOUND");
      const bad = await refusal(wire.call(call, { namespace: "", name: "N", reason: "" }));
      expect(bad.detail!.findings.map(({ at }) => at)).toEqual(["namespace", "name"]);
    },
  );
});

describe("actors and their state", () => {
  test("an actor appears with its first message and shows what it holds", async () => {
    const { actors, state } = wire;
    const address = "default/probe/holder";
    const before = await refusal(wire.call(actors.getActor.bind(actors), { address }));
    expect(before.detail?.code).toBe("ACTOR_NOT_FOUND");

    await wire.askText(address, "put a 1");
    await wire.askText(address, "put b two");
    const { actor } = await wire.call(actors.getActor.bind(actors), { address });
    expect(actor).toMatchObject({
      address,
      status: ActorStatus.IDLE,
      turns: 2,
      stateKeys: 2,
      mailboxMessages: 0,
    });

    const { entry } = await wire.call(state.getState.bind(state), { address, key: "b" });
    expect(Buffer.from(entry!.value).toString()).toBe("two");
    const absent = await refusal(wire.call(state.getState.bind(state), { address, key: "c" }));
    expect(absent.detail?.code).toBe("STATE_NOT_FOUND");
  });

  test("lists come in pages", async () => {
    const { actors, state } = wire;
    const address = "default/probe/pages";
    for (const key of ["k1", "k2", "k3", "other"]) await wire.askText(address, `put ${key} v`);
    const list = (pageToken: string) =>
      wire.call(state.listState.bind(state), { address, prefix: "k", pageSize: 2, pageToken });
    const first = await list("");
    const second = await list(first.nextPageToken);
    expect(first.entries.map(({ key }) => key)).toEqual(["k1", "k2"]);
    expect(second.entries.map(({ key }) => key)).toEqual(["k3"]);
    expect(second.nextPageToken).toBe("");

    for (let i = 0; i < 5; i++) await wire.askText(`default/probe/many-${i}`, "self");
    const seen: string[] = [];
    let pageToken = "";
    do {
      const request = {
        namespace: "default",
        agent: "probe",
        status: ActorStatus.UNSPECIFIED,
        pageSize: 2,
        pageToken,
      };
      const page = await wire.call(actors.listActors.bind(actors), request);
      expect(page.actors.length).toBeLessThanOrEqual(2);
      seen.push(...page.actors.map((actor) => actor.address));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(
      expect.arrayContaining([0, 1, 2, 3, 4].map((i) => `default/probe/many-${i}`)),
    );
  });

  test("a page that is too large", async () => {
    const { state } = wire;
    const request = { address: "default/probe/x", prefix: "", pageSize: 1001, pageToken: "" };
    const error = await refusal(wire.call(state.listState.bind(state), request));
    expect(error.detail!.findings.map(({ at }) => at)).toEqual(["page_size"]);
  });

  test("reset drops memory and keeps key-value state", async () => {
    const { actors, state } = wire;
    await wire.deploy(manifest("adder"), fixtureModule("adder"));
    const address = "default/adder/reset";
    expect(await wire.askText(address, "5")).toBe("5 1");
    await wire.call(actors.resetActor.bind(actors), { address });
    const { entry } = await wire.call(state.getState.bind(state), { address, key: "total" });
    expect(Buffer.from(entry!.value).toString()).toBe("5 1");
    expect(await wire.askText(address, "2")).toBe("2 1");
  });
});

describe("dead letters", () => {
  async function letters() {
    const { deadLetters } = wire;
    const request = { namespace: "default", agent: "probe", pageSize: 0, pageToken: "" };
    const answer = await wire.call(deadLetters.listDeadLetters.bind(deadLetters), request);
    return answer.deadLetters;
  }

  test("list, retry, drop", async () => {
    const { deadLetters } = wire;
    await refusal(
      wire.ask({
        receiver: "default/probe/failing",
        id: "fails-1",
        contentType: "text/plain",
        content: bytes("throw boom"),
      }),
    );
    const [letter] = (await letters()).filter(({ message }) => message!.id === "fails-1");
    expect(letter).toMatchObject({ attempts: 1, message: { receiver: "default/probe/failing" } });
    expect(letter!.reason).toContain("boom");

    await wire.call(deadLetters.retryDeadLetter.bind(deadLetters), { id: letter!.id });
    const again = async () =>
      (await letters()).filter(({ message }) => message!.receiver === "default/probe/failing");
    // It fails as before and is back, as another dead letter.
    await expect
      .poll(again, { timeout: 10_000 })
      .toEqual([expect.not.objectContaining({ id: letter!.id })]);

    const [second] = await again();
    await wire.call(deadLetters.dropDeadLetter.bind(deadLetters), { id: second!.id });
    expect(await again()).toEqual([]);
  });

  test("one that is not there", async () => {
    const { deadLetters } = wire;
    for (const method of ["retryDeadLetter", "dropDeadLetter"] as const) {
      const call = deadLetters[method].bind(deadLetters);
      const error = await refusal(wire.call(call, { id: "0-0" }));
      expect(error.detail?.code).toBe("DEAD_LETTER_NOT_FOUND");
    }
  });
});

describe("the node", () => {
  test("status shows partitions, storage and every limit that can be set", async () => {
    const { node } = wire;
    const { status: now } = await wire.call(node.getStatus.bind(node), {});
    expect(now).toMatchObject({ ready: true, notReady: [], workers: 1 });
    expect(now!.partitions.map(({ partition, ready }) => [partition, ready])).toEqual([
      [0, true],
      [1, true],
      [2, true],
      [3, true],
    ]);
    expect(now!.process!.rssBytes).toBeGreaterThan(now!.process!.heapBytes);
    expect(now!.process!.cpuSeconds).toBeGreaterThan(0);
    expect(now!.storage).toMatchObject({ engine: "embedded", full: false, bytesMax: 67_108_864 });
    const settable = settingsOf(configSchema)
      .filter(({ path }) => path.startsWith("limits."))
      .map(({ path, defaultText }) => [path.slice("limits.".length), Number(defaultText)]);
    expect(now!.limits).toEqual(Object.fromEntries(settable));
  });

  test("version", async () => {
    const { node } = wire;
    const answer = await wire.call(node.getVersion.bind(node), {});
    expect(answer).toMatchObject({ apiVersion: "caxton.v1", abiVersion: 1 });
    expect(answer.version).toMatch(/^\d+\.\d+\.\d+/);
  });

  test("the tree goes from the node to its actors", async () => {
    const { supervisor } = wire;
    await wire.askText("default/probe/leaf", "self");
    const { root } = await wire.call(supervisor.getTree.bind(supervisor), { actorsMax: 0 });
    const kinds = new Set<string>();
    const visit = (node: typeof root): void => {
      kinds.add(node!.kind);
      node!.children.forEach(visit);
    };
    visit(root);
    expect(root!.kind).toBe(SupervisorNodeKind.NODE);
    expect([...kinds].sort()).toEqual(
      [
        SupervisorNodeKind.NODE,
        SupervisorNodeKind.WORKER,
        SupervisorNodeKind.PARTITION,
        SupervisorNodeKind.AGENT,
        SupervisorNodeKind.ACTOR,
      ].sort(),
    );
  });
});
