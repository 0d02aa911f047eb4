/**
 * A nats-server of the node's own.
 *
 * Owns the folder `<storage.directory>/nats`, the process that serves it and the shell that ends it with the node.
 * 1. At most one nats-server of ours serves the folder: the caller holds the lock of the data directory, so one
 *    that runs at the start was left over by a node that is gone, and is ended first.
 * 2. It ends with the node, however that ends.
 * 3. One that ends by itself is started again on the same port, later each time it does not last.
 * 4. One that hangs is ended, and so started again; one that is merely slow is left alone.
 * 5. One that can't store any more, for its disk was full, is started again when there is room.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import type { NatsConfig } from "../../base/config-nats.ts";
import { CaxtonError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { EndWithNode } from "./end-with-node.ts";
import { freePort } from "./free-port.ts";
import { hangs } from "./hang-watch.ts";
import { managedConfiguration, type ManagedPlaces, placesIn } from "./managed-config.ts";
import { NatsProcess } from "./nats-process.ts";
import { endProcess, isRunningWith } from "./processes.ts";
import { full } from "./publisher.ts";
import type { Room } from "./room.ts";
import { RoomWatch } from "./room-watch.ts";

export interface ManagedServerOptions {
  /** Of the data; the caller holds its lock. */
  readonly directory: string;
  readonly binary: string;
  readonly nats: Pick<NatsConfig, "durability" | "port">;
  /** What clients need; undefined: nothing. */
  readonly clientPassword: string | undefined;
  readonly log: Logger;
  /** How long it may say nothing at all before it counts as hanging. Default: 30 s. */
  readonly silentMsMax?: number;
  /** How much of the disk is not for storing. Default: 64 MiB. */
  readonly bytesKept?: number;
}

const BYTES_KEPT = 64 * 1024 * 1024;
const SILENT_MS_MAX = 30_000;
const GRACE_MS = 10_000;
const PORT_TRIES_MAX = 5;
const RESTART_MS_MIN = 100;
const RESTART_MS_MAX = 5000;
/** One that has run so long has lasted. */
const LASTED_MS = 60_000;

export class ManagedNatsServer implements Room {
  readonly port: number;
  /** Of the user `caxton`; another one at each start of the node. */
  readonly password: string;
  readonly #options: ManagedServerOptions;
  readonly #plan: ServerPlan;
  readonly #ending: EndWithNode;
  readonly #room: RoomWatch;
  #process: NatsProcess;
  #startedAt = performance.now();
  #restartMs = RESTART_MS_MIN;
  #isStopping = false;
  #restart: NodeJS.Timeout | undefined;
  #restarting: Promise<void> = Promise.resolve();

  private constructor(options: ManagedServerOptions, started: StartedServer, room: RoomWatch) {
    this.#options = options;
    this.#plan = started.plan;
    this.#ending = started.ending;
    this.#room = room;
    this.#process = started.process;
    this.port = started.plan.port;
    this.password = started.plan.password;
    this.#supervise();
    void this.#endIfItHangs(this.#process);
    room.onRefilled = () => void this.#renew("its disk was full");
  }

  /** Resolves when it lets clients in. Rejects with NATS_SERVER_FAILED, LISTEN_FAILED or STORAGE_FULL. */
  static async start(options: ManagedServerOptions): Promise<ManagedNatsServer> {
    await mkdir(`${options.directory}/nats`, { recursive: true, mode: 0o700 });
    // Left-overs are known by this path, whichever way the folder was named when they were started.
    const places = placesIn(await realpath(`${options.directory}/nats`));
    await endLeftOver(places, options.log);
    const { log, bytesKept = BYTES_KEPT } = options;
    const room = await RoomWatch.open({ directory: places.store, bytesKept, log });
    const password = randomBytes(24).toString("hex");
    const ending = new EndWithNode(places.configuration, GRACE_MS / 1000);
    try {
      if (room.lack !== undefined) throw full(room.lack);
      const started = await startOnPort(options, places, password, ending);
      return new ManagedNatsServer(options, { ...started, ending }, room);
    } catch (error) {
      room.close();
      await ending.stop();
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  lack(): string | undefined {
    return this.#room.lack;
  }

  storesNothing(stream: string): void {
    // Without room a new one could not store anything either.
    if (this.#room.lack === undefined) void this.#renew(`nothing is stored in ${stream}`);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#room.close();
    clearTimeout(this.#restart);
    await this.#restarting;
    await this.#process.stop(GRACE_MS);
    await rm(this.#plan.places.pidFile, { force: true });
    await this.#ending.stop();
  }

  #supervise(): void {
    void this.#process.ended.then(async (why) => {
      this.#ending.watch(undefined);
      if (this.#isStopping) return;
      const ranMs = performance.now() - this.#startedAt;
      if (ranMs > LASTED_MS) this.#restartMs = RESTART_MS_MIN;
      const facts = { why, inMs: this.#restartMs, said: await this.#process.lastWords() };
      this.#options.log.error(facts, "the node's nats-server has ended; starting it again");
      this.#restart = setTimeout(() => {
        if (!this.#isStopping) this.#restarting = this.#startAgain();
      }, this.#restartMs);
      this.#restartMs = Math.min(RESTART_MS_MAX, this.#restartMs * 2);
    });
  }

  async #startAgain(): Promise<void> {
    this.#startedAt = performance.now();
    const process = await startProcess(this.#options, this.#plan, this.#ending);
    this.#process = process;
    this.#supervise();
    // Stopping need not wait for a store that is being read.
    void process.ready().then((isReady) => {
      if (isReady) this.#options.log.warn({ port: this.port }, "the node's nats-server runs again");
      return this.#endIfItHangs(process);
    });
  }

  async #renew(why: string): Promise<void> {
    if (this.#isStopping || this.#process.hasEnded) return;
    this.#options.log.error({ pid: this.#process.pid, why }, "the node's nats-server is ended");
    await this.#process.stop(GRACE_MS);
  }

  /** While it reads its store nobody is let in: it is looked at only after that. */
  async #endIfItHangs(process: NatsProcess): Promise<void> {
    const silentMs = this.#options.silentMsMax ?? SILENT_MS_MAX;
    if (!(await hangs(process, silentMs)) || this.#isStopping) return;
    const text = "the node's nats-server hangs: it is ended";
    this.#options.log.error({ pid: process.pid, silentMs }, text);
    process.signal("SIGKILL");
  }
}

interface ServerPlan {
  readonly places: ManagedPlaces;
  readonly name: string;
  readonly port: number;
  readonly password: string;
}

interface StartedServer {
  readonly plan: ServerPlan;
  readonly process: NatsProcess;
  readonly ending: EndWithNode;
}

/** Ends the nats-server that a killed node left in the folder. */
async function endLeftOver({ pidFile, configuration }: ManagedPlaces, log: Logger): Promise<void> {
  const text = await readFile(pidFile, "utf8").catch(() => "");
  const pid = Number(/^\s*(\d{1,10})\s*$/.exec(text)?.[1] ?? 0);
  if (pid > 0 && (await isRunningWith(pid, configuration))) {
    log.warn({ pid, configuration }, "ending a nats-server that an earlier node left over");
    await endProcess(pid, configuration, GRACE_MS);
  }
  await rm(pidFile, { force: true });
}

/** A port that was free a moment ago may be taken by now; one that was asked for is not replaced. */
async function startOnPort(
  options: ManagedServerOptions,
  places: ManagedPlaces,
  password: string,
  ending: EndWithNode,
): Promise<Omit<StartedServer, "ending">> {
  const asked = options.nats.port;
  for (let tries = 1; ; tries++) {
    const name = `caxton-${randomBytes(6).toString("hex")}`;
    const port = asked === 0 ? await freePort() : asked;
    const plan: ServerPlan = { places, name, port, password };
    await writeConfiguration(options, plan);
    const process = await startProcess(options, plan, ending);
    if (await process.ready()) return { plan, process };
    await process.stop(GRACE_MS);
    const said = `${await process.ended}: ${await process.lastWords()}`;
    ending.watch(undefined);
    if (!/address already in use/.test(said)) {
      const text = `${options.binary} did not start (${said}); its log is ${places.logFile}.`;
      throw new CaxtonError("NATS_SERVER_FAILED", text);
    }
    if (asked === 0 && tries < PORT_TRIES_MAX) continue;
    const text = `storage.nats.port ${String(port)} on 127.0.0.1 is taken.`;
    throw new CaxtonError("LISTEN_FAILED", text);
  }
}

/** Nobody but the owner may read it, and nobody ever reads half of it. */
async function writeConfiguration(
  { nats, clientPassword }: ManagedServerOptions,
  { places, name, port, password }: ServerPlan,
): Promise<void> {
  const secrets = { nodePassword: password, clientPassword };
  const text = managedConfiguration(places, nats, { name, port }, secrets);
  const temporary = `${places.configuration}.tmp`;
  await rm(temporary, { force: true });
  await writeFile(temporary, text, { mode: 0o600 });
  await rename(temporary, places.configuration);
}

async function startProcess(
  { binary }: ManagedServerOptions,
  { places: { configuration, logFile }, name, port }: ServerPlan,
  ending: EndWithNode,
): Promise<NatsProcess> {
  const process = await NatsProcess.start({ binary, configuration, logFile, name, port });
  ending.watch(process.pid);
  return process;
}
