/** A disk that is small, and can be filled and made larger: memory, mounted where only those see it who are told how. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { temporaryFolder } from "./support.ts";

export interface SmallDisk {
  readonly directory: string;
  /** Runs the command that follows it where the disk is seen. */
  readonly via: readonly string[];
  /** A program that does the same for one. */
  programOf(binary: string): string;
  /** Somebody else's file takes all but so much. */
  fill(mibLeft: number): void;
  empty(): void;
}

/** Gone with the test. Undefined, with a loud line, where nobody may mount one. */
export async function smallDisk(mib: number, at?: string): Promise<SmallDisk | undefined> {
  const directory = at ?? temporaryFolder();
  const mount = 'mount -t tmpfs -o "size=$1m" tmpfs "$0" && echo mounted && exec cat';
  // It ends with us, and the disk with it.
  const holder = spawn("unshare", ["-Urm", "sh", "-c", mount, directory, `${mib}`], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const [said] = (await Promise.race([
    once(holder.stdout, "data"),
    once(holder, "exit").catch(() => []),
  ])) as unknown[];
  if (String(said).trim() === "mounted") {
    onTestFinished(async () => {
      holder.kill("SIGKILL");
      await once(holder, "exit");
    });
    return diskOf(holder, directory);
  }
  console.warn(
    "SKIPPED: no disk may be mounted here, so none is filled (unshare -Urm, mount -t tmpfs)",
  );
  return undefined;
}

function diskOf(holder: ChildProcess, directory: string): SmallDisk {
  const via = ["nsenter", "-t", `${holder.pid!}`, "-U", "-m", "--preserve-credentials"];
  const run = (script: string, argument = ""): string =>
    execFileSync(via[0]!, [...via.slice(1), "sh", "-ec", script, directory, argument], {
      encoding: "utf8",
    });
  return {
    directory,
    via,
    programOf: (binary) => {
      const file = join(temporaryFolder(), "program");
      writeFileSync(file, `#!/bin/sh\nexec ${via.join(" ")} '${binary}' "$@"\n`);
      chmodSync(file, 0o755);
      return file;
    },
    fill: (mibLeft) => {
      const free = Number(run(`df --output=avail -B 4096 "$0" | tail -1`));
      const pages = free - mibLeft * 256;
      // The last bytes may be taken by somebody else meanwhile.
      run(`head -c "$1" /dev/zero >>"$0/filler" 2>/dev/null || true`, `${pages * 4096}`);
    },
    empty: () => void run(`rm -f "$0/filler"`),
  };
}
