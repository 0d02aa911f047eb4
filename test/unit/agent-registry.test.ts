import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AgentRegistry } from "../../src/actors/agent-registry.ts";
import { openEmbeddedStorage } from "../../src/storage/index.ts";

test("who changes an agent that somebody else has changed meanwhile is refused", async () => {
  const directory = mkdtempSync(join(tmpdir(), "caxton-registry-"));
  const storage = await openEmbeddedStorage({ directory, sizeBytesMax: 16 * 1024 * 1024 });
  try {
    const [one, other] = [new AgentRegistry(storage), new AgentRegistry(storage)];
    const record = {
      namespace: "default",
      name: "shared",
      environment: 1,
      resetMemory: false,
      reason: undefined,
      deployedAtMs: 1,
      language: "wasm",
      moduleBytes: 1,
    };
    await one.put({ ...record, status: "running" });
    await other.load();
    await other.put({ ...record, status: "suspended" });
    const late = one.put({ ...record, status: "running" });
    await expect(late).rejects.toMatchObject({ code: "AGENT_CONFLICT" });
    expect(one.find("default", "shared")).toMatchObject({ status: "running" });
  } finally {
    await storage.close();
    rmSync(directory, { recursive: true });
  }
});
