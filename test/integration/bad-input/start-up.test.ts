/** Data directories a server must not start on, and the one it may repair. */
import {
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  renameSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, ERRORS } from "../../../src/base/errors.ts";
import { EXIT } from "../../../src/base/exit-codes.ts";
import { runServerToItsEnd, type ServerProcess, startServerProcess } from "../../support/server.ts";
import { bytes, fixtureModule, manifest, Wire } from "../../support/wire.ts";

const SENDS = 40;
/** Large enough for the log to have a second segment. */
const CONTENT = bytes("1".padStart(150_000, "0"));
const RECEIVER = "default/adder/kept";
const FIRST_SEGMENT = "log/0000000001.segment";
const SECOND_SEGMENT = "log/0000000002.segment";
const SECTOR_BYTES = 512;
/** The log stays whole: behind a checkpoint nobody reads it. */
const SETS = ["storage.sizeBytesMax=33554432", "snapshots.logBytesMax=1000000000"];

const folder = mkdtempSync(join(tmpdir(), "caxton-start-up-"));
/** What a killed server left behind: 40 acknowledged messages. */
const killed = join(folder, "killed");
let copies = 0;

beforeAll(async () => {
  const server = await startServerProcess({ directory: killed, sets: SETS });
  const wire = new Wire(server.endpoint);
  await wire.deploy(manifest("adder"), fixtureModule("adder"));
  for (let i = 0; i < SENDS; i++) {
    await wire.send({ receiver: RECEIVER, contentType: "text/plain", content: CONTENT });
  }
  expect(await wire.askText(RECEIVER, "0")).toBe(`${SENDS} ${SENDS + 1}`);
  wire.close();
  await server.kill("SIGKILL");
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function copyOfKilled(): string {
  const directory = join(folder, `copy-${copies++}`);
  cpSync(killed, directory, { recursive: true });
  return directory;
}

/** Path -> hash, without the files of the lock. */
function fingerprint(directory: string): Record<string, string> {
  const prints: Record<string, string> = {};
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || entry.name.startsWith("lock.db")) continue;
    prints[path] = createHash("sha256").update(readFileSync(path)).digest("hex");
  }
  return prints;
}

/** Refuses with the code, what is wrong and the way out, and leaves every byte as it was. */
async function expectRefusal(directory: string, code: ErrorCode, why: RegExp): Promise<void> {
  const before = fingerprint(directory);
  const { code: exit, stderr } = await runServerToItsEnd({ directory, sets: SETS });
  expect(exit).not.toBe(EXIT.ok);
  expect(stderr).toMatch(why);
  expect(stderr).toContain(`code: ${code}`);
  expect(stderr).toContain(`fix: ${ERRORS[code].hint}`);
  expect(fingerprint(directory)).toEqual(before);
}

async function expectAllThere(directory: string): Promise<ServerProcess> {
  const server = await startServerProcess({ directory, sets: SETS });
  const wire = new Wire(server.endpoint);
  expect(await wire.askText(RECEIVER, "0")).toBe(`${SENDS} ${SENDS + 2}`);
  wire.close();
  await server.kill("SIGKILL");
  return server;
}

/** Where the log's last byte that is not zero lies. */
function lastByte(path: string): number {
  const content = readFileSync(path);
  let at = content.length - 1;
  while (at > 0 && content[at] === 0) at--;
  return at;
}

/** The segment the log ends in. */
function lastSegment(directory: string): string {
  const used = readdirSync(join(directory, "log"))
    .sort()
    .filter((name) => {
      const path = join(directory, "log", name);
      return statSync(path).size > 0 && lastByte(path) >= SECTOR_BYTES;
    });
  return join(directory, "log", used.at(-1)!);
}

describe("a damaged log", () => {
  test("a bit flip in the middle of the log is refused with file and position", async () => {
    const directory = copyOfKilled();
    const path = join(directory, FIRST_SEGMENT);
    const content = readFileSync(path);
    content[1_000_000]! ^= 4;
    writeFileSync(path, content);
    await expectRefusal(
      directory,
      "STORAGE_CORRUPT",
      /0000000001\.segment at byte \d+: .*commit \d+ follows/,
    );
  });

  test("a missing segment is refused with its name", async () => {
    const directory = copyOfKilled();
    expect(statSync(join(directory, SECOND_SEGMENT)).size).toBeGreaterThan(0);
    renameSync(join(directory, SECOND_SEGMENT), join(folder, `elsewhere-${copies}`));
    await expectRefusal(directory, "STORAGE_CORRUPT", /000000000[12]\.segment/);
  });

  test("a torn tail is cut and reported, and nothing acknowledged is lost", async () => {
    const directory = copyOfKilled();
    const path = lastSegment(directory);
    const content = readFileSync(path);
    // A write that the power failure let through in part: it was never acknowledged.
    const from = Math.ceil((lastByte(path) + 1) / SECTOR_BYTES) * SECTOR_BYTES;
    content.fill(0xa5, from, from + 3 * SECTOR_BYTES);
    writeFileSync(path, content);
    const server = await expectAllThere(directory);
    const [report] = server.log().filter((line) => line["msg"] === "the last stop was not clean");
    expect(report!["tornBytesCut"]).toBe(3 * SECTOR_BYTES);
    // It is cut for good: the next start finds nothing torn.
    const again = await startServerProcess({ directory, sets: SETS });
    expect(again.log()).not.toContainEqual(
      expect.objectContaining({ tornBytesCut: 3 * SECTOR_BYTES }),
    );
    await again.dispose();
  });

  test("the same directory without damage has it all", async () => {
    const server = await expectAllThere(copyOfKilled());
    expect(server.log()).toContainEqual(expect.objectContaining({ tornBytesCut: 0 }));
  });
});

test("a data directory of a newer format is refused untouched", async () => {
  const directory = copyOfKilled();
  writeFileSync(join(directory, "FORMAT"), "caxton-data 2 embedded zstd\n");
  await expectRefusal(directory, "STORAGE_FORMAT_NEWER", /has format 2; this build reads 1/);
});

describe("with another server running", () => {
  let server: ServerProcess;
  let wire: Wire;

  beforeAll(async () => {
    server = await startServerProcess({ directory: copyOfKilled(), sets: SETS });
    wire = new Wire(server.endpoint);
  });

  afterAll(async () => {
    wire.close();
    await server.dispose();
  });

  test("its data directory is in use: refused, and the first server goes on", async () => {
    const { code, stderr } = await runServerToItsEnd({
      directory: server.directory,
      sets: SETS,
    });
    expect(code).toBe(EXIT.conflict);
    expect(stderr).toContain("code: STORAGE_LOCKED");
    expect(stderr).toContain(server.directory);
    expect(stderr).toContain(`fix: ${ERRORS.STORAGE_LOCKED.hint}`);
    expect(await wire.askText(RECEIVER, "1")).toBe(`${SENDS + 1} ${SENDS + 2}`);
  });

  test.each([
    ["api.grpc.port", () => server.grpcPort],
    ["api.http.port", () => server.httpPort],
    ["api.rest.port", () => server.restPort],
  ] as const)(
    "its %s is in use: port and option are named, and it goes on",
    async (option, port) => {
      const { code, stderr } = await runServerToItsEnd({
        directory: join(folder, `fresh-${copies++}`),
        sets: [`${option}=${port()}`],
      });
      expect(code).toBe(EXIT.conflict);
      expect(stderr).toContain(`127.0.0.1:${port()}: it is in use. The option is ${option}.`);
      expect(stderr).toContain("code: LISTEN_FAILED");
      expect(await wire.askText("default/adder/other", "0")).toMatch(/^0 /);
    },
  );
});
