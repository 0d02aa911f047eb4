/** scripts/nats-server.sh: where it looks for a nats-server, and what it says when there is none. */
import { execFile } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { removeFolders, temporaryFolder } from "./support.ts";

const SCRIPT = join(import.meta.dirname, "../../../scripts/nats-server.sh");
/** What the script needs to run at all; no apt-get and no go, so that nothing is fetched. */
const TOOLS = ["sh", "sed", "dirname", "mkdir", "mktemp", "rm", "chmod", "flock"];

afterAll(removeFolders);

interface Repository {
  readonly root: string;
  /** Makes a program that says it is that nats-server. */
  readonly make: (path: string, version: string) => string;
  readonly run: (env?: Readonly<Record<string, string>>) => Promise<Outcome>;
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function repository(): Repository {
  const root = temporaryFolder();
  mkdirSync(join(root, "scripts"));
  mkdirSync(join(root, "tools"));
  copyFileSync(SCRIPT, join(root, "scripts/nats-server.sh"));
  const folders = (process.env["PATH"] ?? "").split(":");
  for (const tool of TOOLS) symlinkSync(pathOf(tool, folders), join(root, "tools", tool));
  return {
    root,
    make: (path, version) => {
      mkdirSync(join(root, path, ".."), { recursive: true });
      writeFileSync(join(root, path), `#!/bin/sh\necho 'nats-server: v${version}'\n`);
      chmodSync(join(root, path), 0o755);
      return join(root, path);
    },
    run: (env = {}) => run(join(root, "scripts/nats-server.sh"), join(root, "tools"), env),
  };
}

function pathOf(tool: string, folders: readonly string[]): string {
  const found = [...folders, "/usr/bin", "/bin"]
    .map((folder) => join(folder, tool))
    .find((file) => existsSync(file));
  if (found === undefined) throw new Error(`there is no ${tool} here`);
  return found;
}

function run(
  script: string,
  tools: string,
  { PATH, ...env }: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const path = PATH === undefined ? tools : `${PATH}:${tools}`;
  return new Promise((resolve) => {
    execFile("/bin/sh", [script], { env: { ...env, PATH: path } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test("the one that is given, before all others", async () => {
  const { root, make, run } = repository();
  make("path/nats-server", "2.14.0");
  const given = make("given/server", "2.12.0");
  const { code, stdout } = await run({ CAXTON_NATS_SERVER: given, PATH: join(root, "path") });
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${given}\n` });
});

test("one that is given and too old is refused, whatever else there is", async () => {
  const { root, make, run } = repository();
  make("path/nats-server", "2.14.0");
  const given = make("given/server", "2.11.9");
  const { code, stdout, stderr } = await run({
    CAXTON_NATS_SERVER: given,
    PATH: join(root, "path"),
  });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("2.11.9; 2.12 or newer is needed");
});

test("the one on PATH, before what was fetched", async () => {
  const { root, make, run } = repository();
  const onPath = make("path/nats-server", "3.0.0");
  make(".cache/nats-server/2.15.1/nats-server", "2.15.1");
  expect((await run({ PATH: join(root, "path") })).stdout).toBe(`${onPath}\n`);
});

test("what was fetched, when the one on PATH is too old", async () => {
  const { root, make, run } = repository();
  make("path/nats-server", "2.9.10");
  make(".cache/nats-server/2.11.0/nats-server", "2.11.0");
  const fetched = make(".cache/nats-server/2.15.1/nats-server", "2.15.1");
  const { code, stdout, stderr } = await run({ PATH: join(root, "path") });
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${fetched}\n` });
  expect(stderr).toContain("is 2.9.10; 2.12 or newer is needed");
});

test("none and no way to fetch one: it says what it tried and how to mend it", async () => {
  const { code, stdout, stderr } = await repository().run();
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("- no apt-get and dpkg-deb here");
  expect(stderr).toContain("- no go here to build one with");
  expect(stderr).toContain("CAXTON_NATS_SERVER");
});

test("one built with go is kept, and found by the next run", async () => {
  const { root, make, run } = repository();
  // Stands for the tool: puts a program where GOBIN says.
  make("go/go", "0");
  const built = `#!/bin/sh\\necho "nats-server: v2.15.3"\\n`;
  const script = `#!/bin/sh\n[ "$1" = install ] || exit 0\nmkdir -p "$GOBIN"\nprintf '${built}' >"$GOBIN/nats-server"\nchmod +x "$GOBIN/nats-server"\n`;
  writeFileSync(join(root, "go/go"), script);
  symlinkSync(pathOf("mv", ["/usr/bin"]), join(root, "tools/mv"));
  const kept = join(root, ".cache/nats-server/2.15.3/nats-server");
  const first = await run({ PATH: join(root, "go") });
  expect(first.stdout).toBe(`${kept}\n`);
  expect(first.stderr).toContain("2.15.3 from go install");
  expect(await run()).toEqual({ code: 0, stdout: `${kept}\n`, stderr: "" });
});
