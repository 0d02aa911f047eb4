/**
 * A whole node in the process of a test, reached over the wire as from anywhere else.
 *
 * Owns the server, its data directory, and the calls under way.
 * 1. A restart leaves what kill -9 leaves: the directory is copied as it is at one moment, and no call
 *    is answered after that moment by the server it was made to.
 * 2. Every server started is stopped and every directory removed by stop().
 */
import { constants, cpSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AskOptions, Content, DeployOptions, Reply, SendOptions, TestNode } from "caxton/test";
import { readAgent } from "../../../cli/agent-source.ts";
import { LiveConfig } from "../../../src/base/live-config.ts";
import { failureText } from "../../../src/base/failure-text.ts";
import { createLog } from "../../../src/base/log.ts";
import { type RunningServer, startServer } from "../../../src/server.ts";
import { CaxtonError, type CaxtonClient, connect, contentOf } from "../../client-ts/index.ts";

/** Small enough for several at once beside the tests. */
const SETTINGS = [
  "api.grpc.port=0",
  "api.http.port=0",
  "api.rest.port=0",
  "workers.count=1",
  "partitions.count=4",
  "storage.sizeBytesMax=67108864",
  "log.level=error",
];

export async function startNode(): Promise<TestNode> {
  return new LocalNode(await Incarnation.start(await newDirectory()));
}

class NodeError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "NodeError";
    this.code = code;
  }
}

class LocalNode implements TestNode {
  #now: Incarnation;
  readonly #endings: Promise<void>[] = [];

  constructor(first: Incarnation) {
    this.#now = first;
  }

  async deploy(path: string, options: DeployOptions = {}): Promise<void> {
    const { resetMemory = false, ...source } = options;
    const request = { ...readAgent(path, source), resetMemory };
    await this.#now.call((client) => client.deploy(request));
  }

  async send(to: string, content: unknown, options: SendOptions = {}): Promise<void> {
    await this.#now.call((client) => client.send(to, content, options));
  }

  async ask(to: string, content: unknown, options: AskOptions = {}): Promise<Reply> {
    const { message } = await this.#now.call((client) => client.ask(to, content, options));
    const { sender, performative, contentType, headers } = message;
    return Object.assign(contentOf(message.content), {
      ...{ sender, performative, contentType, headers },
    });
  }

  async state(address: string, key: string): Promise<Content | undefined> {
    try {
      const { entry } = await this.#now.call((client) => client.state.getState({ address, key }));
      return contentOf(entry!.value);
    } catch (error) {
      const isAbsent = error instanceof NodeError && /^(ACTOR|STATE)_NOT_FOUND$/.test(error.code);
      if (isAbsent) return undefined;
      throw error;
    }
  }

  async restart(): Promise<void> {
    const directory = await newDirectory();
    this.#now.crash(directory);
    this.#endings.push(this.#now.end());
    this.#now = await Incarnation.start(directory);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#endings, this.#now.end()]);
  }
}

/** The node from one start to its end. */
class Incarnation {
  readonly #server: RunningServer;
  readonly #directory: string;
  readonly #client: CaxtonClient;
  readonly #crashed = Promise.withResolvers<never>();

  private constructor(server: RunningServer, directory: string) {
    this.#server = server;
    this.#directory = directory;
    this.#client = connect({ endpoint: `127.0.0.1:${server.grpcPort}`, attemptsMax: 1 });
    // Nobody may be waiting.
    this.#crashed.promise.catch(() => undefined);
  }

  static async start(directory: string): Promise<Incarnation> {
    const config = new LiveConfig({ sets: [...SETTINGS, `storage.directory=${directory}`] });
    return new Incarnation(await startServer(config, createLog(config.current.log)), directory);
  }

  async call<A>(make: (client: CaxtonClient) => Promise<A>): Promise<A> {
    try {
      return await Promise.race([make(this.#client), this.#crashed.promise]);
    } catch (error) {
      if (!(error instanceof CaxtonError)) throw error;
      throw new NodeError(error.code, failureText(error).trimEnd());
    }
  }

  /**
   * Synchronous throughout: the server does its writing from this thread, so that nothing is written or
   * answered meanwhile but the one append that may be under way, and that one is torn as by a crash.
   */
  crash(copy: string): void {
    this.#crashed.reject(new NodeError("UNAVAILABLE", "The node crashed before it answered."));
    cpSync(this.#directory, copy, { recursive: true, mode: constants.COPYFILE_FICLONE });
  }

  async end(): Promise<void> {
    this.#client.close();
    await this.#server.stop();
    await rm(this.#directory, { recursive: true });
  }
}

function newDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), "caxton-test-"));
}
