/** A program of the benchmarks in a process of its own, on the server's cores: it says one line when it is ready. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { onServerCores } from "./pinning.ts";

export interface Child {
  /** The line it said. */
  readonly ready: string;
  /** Hands it a line, and resolves with the one it says to that. */
  ask(line: string): Promise<string>;
}

export async function withChild<T>(
  command: readonly string[],
  work: (child: Child) => Promise<T>,
  cores = 1,
): Promise<T> {
  const node = [process.execPath, "--disable-wasm-trap-handler", "--no-warnings"];
  const [program, ...args] = onServerCores([...node, ...command], cores);
  const child = spawn(program!, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "close");
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
    return await work({ ready: await nextLine(), ask });
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
