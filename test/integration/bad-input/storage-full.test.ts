/** storage.sizeBytesMax is reached: acknowledgements stop, a start makes room, and with more room all goes on. */
import { status } from "@grpc/grpc-js";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERRORS } from "../../../src/base/errors.ts";
import { EXIT } from "../../../src/base/exit-codes.ts";
import { OutgoingMessage } from "../../../src/gen/caxton/v1/message.ts";
import { type ServerProcess, startServerProcess } from "../../support/server.ts";
import { bytes, fixtureModule, manifest, Wire, WireError } from "../../support/wire.ts";

const MIB = 1024 * 1024;
const SIZE_BYTES_MAX = 16 * MIB;
const RECEIVER = "default/adder/full";
/** A one with zeros before it: large, and still a number. */
const CONTENT = bytes("1".padStart(200_000, "0"));
/** Several times what fits: room that is made at once may go unnoticed. */
const SENDS_MAX = 400;
const SEND_TIMEOUT_MS = 2000;

describe.each(["embedded", "jetstream"])("%s", (engine) => {
  const directory = mkdtempSync(join(tmpdir(), "caxton-full-"));
  const acked: string[] = [];
  /** Sent without an answer in time: accepted or not. */
  const unknown: string[] = [];
  let server: ServerProcess;
  let wire: Wire;

  beforeAll(async () => {
    await start(SIZE_BYTES_MAX);
    await wire.deploy(manifest("adder"), fixtureModule("adder"));
  });

  afterAll(async () => {
    wire.close();
    await server.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  async function start(sizeBytesMax: number): Promise<void> {
    // Checkpoints would make room.
    const sets = [`storage.sizeBytesMax=${sizeBytesMax}`, "snapshots.logBytesMax=1000000000"];
    server = await startServerProcess({ directory, sets, args: ["--storage", engine] });
    wire = new Wire(server.endpoint);
  }

  function send(id: string) {
    const { messages } = wire;
    const message = { receiver: RECEIVER, id, contentType: "text/plain", content: CONTENT };
    const request = { message: OutgoingMessage.create(message) };
    return wire.call(messages.sendMessage.bind(messages), request, { timeoutMs: SEND_TIMEOUT_MS });
  }

  /** Sends until storage is full; the answer that said so. */
  async function fill(): Promise<WireError> {
    for (let i = 0; i < SENDS_MAX; i++) {
      const id = `add-${acked.length + unknown.length}`;
      try {
        await send(id);
        acked.push(id);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        if (error.detail?.code === "STORAGE_FULL") return error;
        expect(status[error.status]).toBe("DEADLINE_EXCEEDED");
        unknown.push(id);
      }
    }
    throw new Error("storage never was full");
  }

  async function storageStatus() {
    const { node } = wire;
    const answer = await wire.call(node.getStatus.bind(node), {});
    return answer.status!;
  }

  async function total(): Promise<string> {
    const { state } = wire;
    const request = { address: RECEIVER, key: "total" };
    const { entry } = await wire.call(state.getState.bind(state), request);
    return Buffer.from(entry!.value).toString();
  }

  test("acknowledgements stop with STORAGE_FULL and a delay, and the node says it is not ready", async () => {
    const error = await fill();
    expect(error.message).toMatch(/storage\.sizeBytesMax is reached/);
    expect(error.detail).toMatchObject({ retryable: true, hint: ERRORS.STORAGE_FULL.hint });
    expect(error.detail!.retryAfterMs).toBeGreaterThan(0);
    expect(acked.length).toBeGreaterThan(20);
    // It makes room by itself, and then is ready again: filled until it is seen.
    const notReady = async () => {
      await fill();
      return (await storageStatus()).notReady.join();
    };
    await expect.poll(notReady).toContain("STORAGE_FULL");
    expect((await storageStatus()).storage!.bytes).toBeLessThanOrEqual(SIZE_BYTES_MAX);
    // What was begun is written down, so that reads are answered.
    expect(Number((await total()).split(" ")[0])).toBeGreaterThan(20);
  });

  test("killed while it is full it starts, has what was acknowledged, and makes room for more", async () => {
    await fill();
    wire.close();
    await server.kill("SIGKILL");
    await start(SIZE_BYTES_MAX);
    // Of the last ones the turns may have found no room.
    const [added] = (await total()).split(" ");
    expect(Number(added)).toBeGreaterThan(20);
    const isReady = async () => (await storageStatus()).ready;
    await expect.poll(isReady, { timeout: 20_000 }).toBe(true);
    for (const id of acked) expect(await send(id)).toMatchObject({ duplicate: true });
    for (const id of unknown) await send(id);
    acked.push(...unknown.splice(0));
    const before = acked.length;
    await fill();
    expect(acked.length).toBeGreaterThan(before + 20);
  });

  test("a full node stops in order", async () => {
    wire.close();
    expect(await server.kill("SIGTERM")).toEqual({ code: EXIT.ok, signal: null });
  });

  test("with more room all goes on; what was acknowledged is there, exactly once", async () => {
    await start(4 * SIZE_BYTES_MAX);
    for (const id of acked) expect(await send(id)).toMatchObject({ duplicate: true });
    for (const id of unknown) await send(id);
    await send("one-more");
    const sent = acked.length + unknown.length + 1;
    expect(await wire.askText(RECEIVER, "0")).toBe(`${sent} ${sent + 1}`);
    expect(await storageStatus()).toMatchObject({ ready: true, storage: { full: false } });
  });
});
