/** A program of the benchmarks in a process of its own: it says one line when it is ready. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { endsWithUs } from "./at-exit.ts";
import { onServerCores } from "./pinning.ts";

export interface Child {
  /** The line it said. */
  readonly ready: string;
  readonly pid: number;
  /** Hands it a line, and resolves with the one it says to that. */
  ask(line: string): Promise<string>;
}

/** On so many of the server's cores; with 0 on this process's own. */
export async function withChild<T>(
  command: readonly string[],
  work: (child: Child) => Promise<T>,
  cores = 1,
): Promise<T> {
  const node = [process.execPath, "--disable-wasm-trap-handler", "--no-warnings"];
  const line = [...node, ...command];
  const [program, ...args] = cores === 0 ? line : onServerCores(line, cores);
  const child = spawn(program!, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = endsWithUs(child);
  const lines = createInterface(child.stdout);
  const nextLine = async (): Promise<string> => {
    const end = ended.then(() => Promise.reject(new Error(`${command[0]!} ended`)));
    const [line] = await Promise.race([once(lines, "line") as Promise<[string]>, end]);
    return line;
  };
  const ask = (line: string): Promise<string> => {
    const answer = nextLine();
    child.stdin.write(`${line}\n`);
    return answer;
  };
  try {
    return await work({ ready: await nextLine(), pid: child.pid!, ask });
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
