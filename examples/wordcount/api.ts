/** Caxton's public gRPC API, as far as this example needs it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CaxtonError, type CaxtonClient, connect } from "../../sdk/client-ts/index.ts";
import { ActorStatus } from "../../src/gen/caxton/v1/actor.ts";

const PAGE_SIZE = 1000;

export interface NodeFacts {
  /** Messages accepted and not handled. */
  readonly pending: number;
  /** Messages handled over the life of the data, before and after a crash. */
  readonly handled: number;
  /** Turns run again since the start to bring memory back. */
  readonly replayed: number;
  /** Messages that were waiting when the node took up its data. */
  readonly recovered: number;
  readonly deadLetters: number;
}

export class Api {
  readonly #caxton: CaxtonClient;

  constructor(endpoint: string) {
    // The feeder decides about repeating: it counts.
    this.#caxton = connect({ endpoint, client: "wordcount", timeoutMs: 60_000, attemptsMax: 1 });
  }

  close(): void {
    this.#caxton.close();
  }

  /** `folder` holds agent.yaml. TypeScript goes as it is; of AssemblyScript the module made of it does. */
  async deploy(folder: string): Promise<void> {
    const manifest = readFileSync(join(folder, "agent.yaml"), "utf8");
    const source = typeScriptIn(folder) ?? moduleIn(folder);
    const request = { manifest, source, resetMemory: false };
    await this.#caxton.deploy(request);
  }

  /** The agent's actors handle nothing until it is resumed, also after a crash; their messages are kept. */
  async suspend(name: string): Promise<void> {
    const request = { namespace: "default", name, reason: "the demonstration holds it" };
    await this.#caxton.agents.suspendAgent(request);
  }

  async resume(name: string): Promise<void> {
    await this.#caxton.agents.resumeAgent({ namespace: "default", name });
  }

  /** Resolves when the message is durable; repeats with the same id take effect once. */
  async send(receiver: string, id: string, text: string): Promise<void> {
    await this.#caxton.send(receiver, text, { id });
  }

  async facts(): Promise<NodeFacts> {
    const { status: node } = await this.#caxton.node.getStatus({});
    const facts = { pending: 0, handled: 0, replayed: 0, recovered: 0, deadLetters: 0 };
    for (const partition of node?.partitions ?? []) {
      facts.pending += partition.pendingMessages;
      facts.handled += partition.turns;
      facts.replayed += partition.turnsReplayed;
      facts.recovered += partition.recoveredPending;
      facts.deadLetters += partition.deadLetters;
    }
    return facts;
  }

  /** Addresses of the actors of an agent of the namespace `default`: all, or those with an open handler. */
  async *actors(agent: string, which: "all" | "open" = "all"): AsyncGenerator<string> {
    const filter = {
      namespace: "default",
      agent,
      status: which === "open" ? ActorStatus.OPEN : ActorStatus.UNSPECIFIED,
    };
    let pageToken = "";
    do {
      const request = { ...filter, pageSize: PAGE_SIZE, pageToken };
      const page = await this.#caxton.actors.listActors(request);
      for (const { address } of page.actors) yield address;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** The committed key-value state of an actor that exists, under keys that begin with `prefix`. */
  async state(address: string, prefix = ""): Promise<Map<string, string>> {
    const values = new Map<string, string>();
    let pageToken = "";
    do {
      const request = { address, prefix, pageSize: PAGE_SIZE, pageToken };
      const page = await this.#caxton.state.listState(request);
      for (const { key, value } of page.entries) values.set(key, Buffer.from(value).toString());
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return values;
  }

  /** Undefined when there is no such actor or no such key. */
  async stateText(address: string, key: string): Promise<string | undefined> {
    try {
      const { entry } = await this.#caxton.state.getState({ address, key });
      return Buffer.from(entry!.value).toString();
    } catch (error) {
      if (error instanceof CaxtonError && error.status === "NOT_FOUND") return undefined;
      throw error;
    }
  }
}

function typeScriptIn(folder: string) {
  const names = readdirSync(folder).filter((name) => name.endsWith(".ts"));
  if (names.length === 0) return undefined;
  const files = names.map((name) => [name, readFileSync(join(folder, name), "utf8")] as const);
  const value = { language: "typescript", files: Object.fromEntries(files) };
  return { $case: "bundle" as const, value };
}

function moduleIn(folder: string) {
  return { $case: "module" as const, value: readFileSync(join(folder, "assembly/agent.wasm")) };
}
