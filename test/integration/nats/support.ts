/** Processes that tests of a node's own nats-server start and kill. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pino, type Logger } from "pino";

/** Lines of a log as they come. */
export function listeningLog(): { log: Logger; lines: () => Record<string, unknown>[] } {
  const lines: string[] = [];
  const log = pino({ level: "debug", base: null }, { write: (line: string) => lines.push(line) });
  return { log, lines: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

const folders: string[] = [];

export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "caxton-nats-")));
  folders.push(folder);
  return folder;
}

export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** Empty when the process is gone, or has ended and was not waited for. */
export function commandOf(pid: number): string[] {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words.filter((word) => word !== "");
  } catch {
    return [];
  }
}

export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

export interface ManagedNode {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly serverPid: number;
  readonly port: number;
  /** Resolves when the node, not its server, is gone. */
  kill(): Promise<void>;
}

/** A process that owns a nats-server in the folder. */
export async function startManagedNode(directory: string, port = 0): Promise<ManagedNode> {
  const program = join(import.meta.dirname, "node/main.ts");
  const child = spawn(process.execPath, ["--no-warnings", program, directory, `${port}`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const started = await new Promise<{ port: number; pid: number }>((resolve, reject) => {
    createInterface(child.stdout).once("line", (line) => {
      resolve(JSON.parse(line) as { port: number; pid: number });
    });
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}`)));
  });
  const kill = (): Promise<void> => {
    child.kill("SIGKILL");
    return ended;
  };
  return { child, pid: child.pid!, serverPid: started.pid, port: started.port, kill };
}
