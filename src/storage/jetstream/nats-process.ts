/** One run of a nats-server: from its start until it has ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { open, stat } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** It reads its whole store before it lets anybody in. */
const READY_MS_MAX = 300_000;
const POLL_MS = 20;
const ANSWER_MS_MAX = 1000;
const SAID_BYTES_MAX = 4096;

export interface NatsProcessPlan {
  readonly binary: string;
  readonly configuration: string;
  readonly logFile: string;
  readonly name: string;
  readonly port: number;
}

export class NatsProcess {
  /** What became of it. */
  readonly ended: Promise<string>;
  readonly #plan: NatsProcessPlan;
  readonly #child: ChildProcess;
  readonly #logFrom: number;
  #why: string | undefined;
  #standardError = "";

  private constructor(plan: NatsProcessPlan, logFrom: number) {
    this.#plan = plan;
    this.#logFrom = logFrom;
    // A group of its own: an interrupt from the terminal is for the node, which stops things in order.
    this.#child = spawn(plan.binary, ["-c", plan.configuration], {
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
    });
    // Only what it says before it has opened its log.
    this.#child.stderr!.on("data", (bytes: Buffer) => {
      this.#standardError = (this.#standardError + bytes.toString()).slice(-SAID_BYTES_MAX);
    });
    this.ended = new Promise((resolve) => {
      const settle = (why: string): void => {
        this.#why ??= why;
        resolve(this.#why);
      };
      this.#child.once("error", (error) => settle(error.message));
      this.#child.once("exit", (code, signal) => settle(signal ?? `code ${code ?? -1}`));
    });
  }

  static async start(plan: NatsProcessPlan): Promise<NatsProcess> {
    const { size } = await stat(plan.logFile).catch(() => ({ size: 0 }));
    return new NatsProcess(plan, size);
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#why !== undefined;
  }

  /** False when it ended instead. */
  async ready(): Promise<boolean> {
    const until = performance.now() + READY_MS_MAX;
    while (!this.hasEnded && performance.now() < until) {
      if ((await nameOfServerAt(this.#plan.port)) === this.#plan.name) return true;
      await delay(POLL_MS);
    }
    return false;
  }

  /** Whether it says anything in time to who connects. */
  answers(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.#plan.port, host: "127.0.0.1" });
      const settle = (answers: boolean): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve(answers);
      };
      // One that refuses is given the whole time as well.
      const timer = setTimeout(() => settle(false), withinMs).unref();
      socket.once("data", () => settle(true)).once("error", () => undefined);
    });
  }

  /** What it wrote last, errors only where there are any. */
  async lastWords(): Promise<string> {
    const said = `${this.#standardError}\n${await this.#logged()}`.split("\n");
    const lines = said.map((line) => line.trim()).filter((line) => line !== "");
    const errors = lines.filter((line) => /\[(FTL|ERR)\]|^nats-server: /.test(line));
    return (errors.length > 0 ? errors : lines).slice(-3).join(" | ");
  }

  async #logged(): Promise<string> {
    try {
      const file = await open(this.#plan.logFile);
      try {
        const { size } = await file.stat();
        const from = Math.max(this.#logFrom > size ? 0 : this.#logFrom, size - SAID_BYTES_MAX);
        const { buffer, bytesRead } = await file.read(
          Buffer.alloc(size - from),
          0,
          size - from,
          from,
        );
        return buffer.toString("utf8", 0, bytesRead);
      } finally {
        await file.close();
      }
    } catch {
      return "";
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Asked first, forced when that takes too long. */
  async stop(graceMs: number): Promise<void> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    await this.ended;
    clearTimeout(timer);
  }
}

/** What a NATS server says it is called; undefined when none answers there. */
function nameOfServerAt(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", timeout: ANSWER_MS_MAX });
    let text = "";
    const settle = (name: string | undefined): void => {
      socket.destroy();
      resolve(name);
    };
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      if (text.includes("\r\n")) settle(/"server_name":"([^"]*)"/.exec(text)?.[1]);
    });
    socket.once("timeout", () => settle(undefined)).once("error", () => settle(undefined));
    socket.once("close", () => settle(undefined));
  });
}
