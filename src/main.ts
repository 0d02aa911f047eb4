/** The process `caxton server` runs: start, signals, exit codes. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import type { Config } from "./base/config-schema.ts";
import { ensureError } from "./base/errors.ts";
import { EXIT, exitCodeOf } from "./base/exit-codes.ts";
import { failureOf, failureText } from "./base/failure-text.ts";
import { LiveConfig } from "./base/live-config.ts";
import { createLog, flushed, type Logger } from "./base/log.ts";
import { RecentLog } from "./base/recent-log.ts";
import { serverCommand, type ServerOptions } from "./server-command.ts";
import { type RunningServer, startServer } from "./server.ts";
import { notifyServiceManager } from "./service-manager.ts";

await serverCommand().action(run).parseAsync();

async function run(options: ServerOptions): Promise<void> {
  if (options.daemon === true) refuseDaemon();
  try {
    const { config: file, insecure = false } = options;
    const sets = setsOf(options);
    const sources = { ...(file === undefined ? {} : { file }), env: process.env, sets, insecure };
    const live = new LiveConfig(sources);
    const config = live.current;
    const recentLog = new RecentLog();
    const log = createLog(config.log, recentLog);
    const starting = startServer(live, log, recentLog);
    const stop = stopOnce(starting, log, options.portsFile);
    process.on("SIGHUP", () => void reload(live, log));
    process.on("SIGTERM", stop).on("SIGINT", stop);
    if (options.stopOnEof === true) process.stdin.once("end", () => stop("EOF")).resume();
    const server = await starting;
    if (options.portsFile !== undefined) writePortsFile(options.portsFile, server);
    announce(server, config);
    await notifyServiceManager("READY=1", log);
  } catch (error) {
    process.stderr.write(failureText(failureOf(ensureError(error))));
    process.exit(exitCodeOf(ensureError(error)));
  }
}

function setsOf({ storage, set = [] }: ServerOptions): readonly string[] {
  return storage === undefined ? set : [`storage.engine=${storage}`, ...set];
}

function refuseDaemon(): never {
  const fix = "have systemd run it (deploy/systemd/caxton.service), or a container";
  process.stderr.write(`error: a node does not go into the background by itself\n  fix: ${fix}\n`);
  process.exit(EXIT.usage);
}

/** What is wrong with the configuration is logged and changes nothing. */
async function reload(live: LiveConfig, log: Logger): Promise<void> {
  await notifyServiceManager("RELOADING=1", log);
  try {
    log.info(live.reload(), "configuration read again");
  } catch (error) {
    log.error(failureOf(ensureError(error)), "configuration not read: nothing has changed");
  }
  await notifyServiceManager("READY=1", log);
}

/** The one line on standard output: the node takes work from here on. */
function announce(server: RunningServer, { node, api }: Config): void {
  const grpc = `grpc=${api.grpc.host}:${server.grpcPort}`;
  const http = `http=${api.http.host}:${server.httpPort}`;
  const rest = `rest=${api.rest.host}:${server.restPort}`;
  process.stdout.write(`caxton ready node=${node.id} ${grpc} ${http} ${rest}\n`);
}

/** Readers see all of it or nothing. */
function writePortsFile(file: string, server: RunningServer): void {
  const { grpcPort, httpPort, restPort } = server;
  const text = JSON.stringify({ pid: process.pid, grpcPort, httpPort, restPort });
  writeFileSync(`${file}.tmp`, `${text}\n`);
  renameSync(`${file}.tmp`, file);
}

/** The first call stops in order, the second at once. */
function stopOnce(
  starting: Promise<RunningServer>,
  log: Logger,
  portsFile: string | undefined,
): (why: string) => void {
  let isStopping = false;
  return (why) => {
    if (isStopping) process.exit(EXIT.failure);
    isStopping = true;
    log.info({ why }, "stopping");
    void notifyServiceManager("STOPPING=1", log);
    void stopped(starting).then(async (code) => {
      if (portsFile !== undefined) rmSync(portsFile, { force: true });
      log.info({ code }, "stopped");
      await flushed(log);
      process.exit(code);
    });
  };
}

async function stopped(starting: Promise<RunningServer>): Promise<number> {
  try {
    await (await starting).stop();
    return EXIT.ok;
  } catch {
    // Whoever started or stopped the failing stage has logged why.
    return EXIT.failure;
  }
}
