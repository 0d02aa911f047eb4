/**
 * Content on its way into a blob store.
 *
 * Owns the puts under way: the same content is written once at a time, whoever else puts it waits for that.
 */
import { createHash } from "node:crypto";
import { CaxtonError } from "../base/errors.ts";
import type { WriteGate } from "./write-gate.ts";

export class BlobPuts {
  readonly #gate: WriteGate;
  readonly #write: (sha256: string, content: Uint8Array) => Promise<void>;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(gate: WriteGate, write: (sha256: string, content: Uint8Array) => Promise<void>) {
    this.#gate = gate;
    this.#write = write;
  }

  async put(content: Uint8Array): Promise<string> {
    this.#gate.check();
    const sha256 = hashOf(content);
    let putting = this.#underWay.get(sha256);
    if (putting === undefined) {
      putting = this.#write(sha256, content).finally(() => this.#underWay.delete(sha256));
      this.#underWay.set(sha256, putting);
    }
    await putting;
    return sha256;
  }

  /** Resolves when no put is under way. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
  }
}

export function hashOf(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

export function checkHash(sha256: string): void {
  if (/^[0-9a-f]{64}$/.test(sha256)) return;
  throw new CaxtonError("INVALID_ARGUMENT", `"${sha256}" is no SHA-256 in lowercase hex.`);
}
