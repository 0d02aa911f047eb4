/**
 * Sends a server requests over REST and gRPC that are malformed, too large, out of order and many at once, on
 * connections that are left open or cut, and looks at what becomes of it.
 */
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import {
  Client,
  credentials,
  Metadata,
  type ServiceDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { readHttpRules } from "../../src/api/rest/schema.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { AgentServiceService } from "../../src/gen/caxton/v1/agent.ts";
import { MessageServiceService, OutgoingMessage } from "../../src/gen/caxton/v1/message.ts";
import { NodeServiceService } from "../../src/gen/caxton/v1/node.ts";
import { StateServiceService } from "../../src/gen/caxton/v1/state.ts";
import { ActorServiceService } from "../../src/gen/caxton/v1/actor.ts";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { fixtureModule, manifest, Wire } from "../support/wire.ts";
import { mutated, pick, rawBytes, restRequest } from "./inputs.ts";

const CONCURRENT = 32;
const HALF_OPEN_MAX = 64;
const REQUEST_TIMEOUT_MS = 20_000;
/** Small, so that what is too large is soon sent. */
const MODULE_BYTES_MAX = 300_000;
const TOO_LARGE = Buffer.alloc(2_000_000, "{");
/** HTTP/2 of Node.js closes a connection with more calls given up than this, and 33 in each second. */
const RESETS_MAX = 1000;
const CLOSED = "Session closed with error code 2";
/** Caches and compiled code are there after so much of the run. */
const WARM_UP = 0.3;

export interface FuzzReport {
  readonly requests: number;
  /** By kind of answer, e.g. "rest 400", "grpc NOT_FOUND". */
  readonly answers: ReadonlyMap<string, number>;
  /** Answers INTERNAL of the server's own, and those of which its log has the cause. */
  readonly internal: number;
  readonly logged: number;
  /** Answers INTERNAL of a connection that was closed though few of its calls were given up. */
  readonly cutOff: number;
  readonly warmMb: number;
  readonly endMb: number;
  /** The server still does what it is for. */
  readonly works: boolean;
}

export async function fuzzApi(requests: number, seed: number): Promise<FuzzReport> {
  const sets = ["log.level=error", `limits.moduleBytesMax=${MODULE_BYTES_MAX}`];
  const server = await startServerProcess({ sets });
  const wire = new Wire(server.endpoint);
  try {
    const deploy = async (name: string): Promise<unknown> =>
      wire.deploy(manifest(name), fixtureModule(name));
    await Promise.all([deploy("echo"), deploy("probe")]);
    const run = new Run(server, requests, seed);
    const warmMb = await run.all();
    await deploy("echo");
    // A drawn request may have suspended it.
    const { agents } = wire;
    await wire.call(agents.resumeAgent.bind(agents), { namespace: "default", name: "echo" });
    const works = (await wire.askText("default/echo/after", "still here")) === "still here";
    const logged = server.log().filter(isLoggedFailure).length;
    const { answers, internal, cutOff } = run;
    const endMb = rssMb(server.pid);
    return { requests, answers, internal, logged, cutOff, warmMb, endMb, works };
  } finally {
    wire.close();
    await server.dispose();
  }
}

function isLoggedFailure(line: Record<string, unknown>): boolean {
  return line["code"] === "INTERNAL" && line["err"] !== undefined;
}

function rssMb(pid: number): number {
  if (process.platform !== "linux") return 0;
  const text = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)![1]) / 1024;
}

interface Encoding {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** What a server takes, to begin with. */
const VALID: readonly Encoding[] = [
  ...[ActorServiceService, AgentServiceService, StateServiceService, NodeServiceService].flatMap(
    emptyRequests,
  ),
  ...[MessageServiceService.sendMessage, MessageServiceService.ask].map(
    ({ path, requestSerialize }) => {
      const receiver = "default/echo/fuzz";
      const message = OutgoingMessage.create({ receiver, content: Buffer.from("fuzz") });
      return { path, bytes: requestSerialize({ message, timeoutMs: 1000 }) };
    },
  ),
];

function emptyRequests(definition: ServiceDefinition): Encoding[] {
  return Object.values(definition)
    .filter(({ responseStream }) => !responseStream)
    .map(({ path }) => ({ path, bytes: new Uint8Array(0) }));
}

class Run {
  readonly answers = new Map<string, number>();
  internal = 0;
  cutOff = 0;
  #resets = 0;
  readonly #server: ServerProcess;
  readonly #requests: number;
  readonly #random: SeededRandom;
  readonly #rules = readHttpRules();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONCURRENT });
  readonly #client: Client;
  readonly #halfOpen: Socket[] = [];

  constructor(server: ServerProcess, requests: number, seed: number) {
    this.#server = server;
    this.#requests = requests;
    this.#random = new SeededRandom(seed);
    this.#client = new Client(server.endpoint, credentials.createInsecure());
  }

  /** Resolves with the memory in use when it was warm. */
  async all(): Promise<number> {
    let sent = 0;
    let warmMb = 0;
    const worker = async (): Promise<void> => {
      while (sent < this.#requests) {
        if (++sent === Math.ceil(this.#requests * WARM_UP)) warmMb = rssMb(this.#server.pid);
        this.#count(await this.#one());
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, worker));
    for (const socket of this.#halfOpen) socket.destroy();
    this.#agent.destroy();
    this.#client.close();
    return warmMb;
  }

  #count(answer: string): void {
    this.answers.set(answer, (this.answers.get(answer) ?? 0) + 1);
  }

  #one(): Promise<string> {
    const random = this.#random;
    if (random.chance(0.02)) return this.#raw();
    if (random.chance(0.02)) return this.#stream();
    return random.chance(0.5) ? this.#rest() : this.#grpc();
  }

  #rest(): Promise<string> {
    const { verb, path, headers, body: drawn } = restRequest(this.#random, this.#rules);
    const body = drawn !== undefined && this.#random.chance(0.005) ? TOO_LARGE : drawn;
    const isCut = this.#random.chance(0.02);
    return new Promise((resolve) => {
      const options = { agent: this.#agent, port: this.#server.restPort, host: "127.0.0.1" };
      const all = { ...options, method: verb, path, headers, timeout: REQUEST_TIMEOUT_MS };
      const sending = httpRequest(all, (response) => {
        const isStream = response.headers["content-type"]?.startsWith("text/event-stream") === true;
        if (isStream) response.destroy();
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("close", () => {
          if (text.includes('"code":"INTERNAL"')) this.internal++;
          resolve(`rest ${response.statusCode}`);
        });
      });
      sending.on("timeout", () => sending.destroy());
      sending.on("error", () => resolve("rest cut off"));
      sending.end(body);
      if (isCut) sending.destroy();
    });
  }

  #grpc(): Promise<string> {
    const random = this.#random;
    const { path, bytes: valid } = pick(random, VALID);
    const bytes = random.chance(0.002) ? TOO_LARGE : mutated(random, valid);
    const deadline = random.chance(0.05) ? Date.now() + 1 : Date.now() + REQUEST_TIMEOUT_MS;
    const same = (raw: Buffer): Buffer => raw;
    return new Promise((resolve) => {
      const done = (error: ServiceError | null): void => {
        if (error?.code === status.DEADLINE_EXCEEDED || error?.code === status.CANCELLED) {
          this.#resets++;
        }
        resolve(`grpc ${this.#kindOf(error?.code ?? status.OK, error?.details ?? "")}`);
      };
      const sent = [bytes, new Metadata(), { deadline }] as const;
      const call = this.#client.makeUnaryRequest(path, same, same, ...sent, done);
      if (random.chance(0.03)) call.cancel();
    });
  }

  /** Opened and left. */
  #stream(): Promise<string> {
    const { path } = MessageServiceService.subscribeMessages;
    const same = (raw: Buffer): Buffer => raw;
    const bytes = mutated(this.#random, new Uint8Array(0));
    const stream = this.#client.makeServerStreamRequest(path, same, same, bytes);
    return new Promise((resolve) => {
      stream.on("error", () => undefined);
      stream.on("data", () => undefined);
      stream.once("metadata", () => stream.cancel());
      stream.once("status", ({ code, details }: { code: status; details: string }) => {
        this.#resets++;
        resolve(`stream ${this.#kindOf(code, details)}`);
      });
    });
  }

  #kindOf(code: status, details: string): string {
    if (code !== status.INTERNAL) return status[code];
    if (!details.includes(CLOSED)) {
      this.internal++;
      return "INTERNAL";
    }
    if (this.#resets < RESETS_MAX) this.cutOff++;
    return "closed for its resets";
  }

  /** A connection that stays as it is, until there are too many of them. */
  #raw(): Promise<string> {
    const bytes = rawBytes(this.#random);
    return new Promise((resolve) => {
      const socket = connect(this.#server.restPort, "127.0.0.1", () => {
        socket.write(bytes, "latin1", () => resolve("raw"));
      });
      socket.on("error", () => resolve("raw refused"));
      socket.resume();
      this.#halfOpen.push(socket);
      if (this.#halfOpen.length > HALF_OPEN_MAX) this.#halfOpen.shift()!.destroy();
    });
  }
}
