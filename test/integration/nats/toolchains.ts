/** Other languages that this machine may have, with their NATS clients. Nothing is fetched. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { temporaryFolder } from "./support.ts";

const run = promisify(execFile);

export interface Toolchain {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** What is not here; undefined: nothing. */
  readonly missing: string | undefined;
}

export async function python(): Promise<Toolchain> {
  const toolchain = { name: "python", env: {} };
  if (!(await succeeds("python3", ["--version"]))) return { ...toolchain, missing: "python3" };
  const hasClient = await succeeds("python3", ["-c", "import nats"]);
  return { ...toolchain, missing: hasClient ? undefined : "nats-py" };
}

export async function go(): Promise<Toolchain> {
  const found = await run("go", ["env", "GOMODCACHE"]).catch(() => undefined);
  if (found === undefined) return { name: "go", env: {}, missing: "go" };
  const env = {
    // The modules that were fetched before, and nothing else.
    GOPROXY: `file://${found.stdout.trim()}/cache/download`,
    GOSUMDB: "off",
    GOTOOLCHAIN: "local",
  };
  const cwd = temporaryFolder();
  const get = "go mod init probe && go get github.com/nats-io/nats.go";
  const options = { cwd, env: { ...process.env, ...env } };
  const hasClient = await succeeds("sh", ["-ec", get], options);
  return { name: "go", env, missing: hasClient ? undefined : "github.com/nats-io/nats.go" };
}

async function succeeds(program: string, args: readonly string[], options = {}): Promise<boolean> {
  return run(program, args, options).then(
    () => true,
    () => false,
  );
}
