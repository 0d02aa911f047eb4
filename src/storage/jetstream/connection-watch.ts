/**
 * What becomes of a connection to NATS.
 *
 * Owns the time since when its servers are away, and its end.
 * 1. Away is said once, back once, with the time between them.
 * 2. An end that nobody asked for is told as lost.
 */
import { type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import { CaxtonError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { NatsObserver } from "./connect.ts";
import { isNewEnough } from "./server-version.ts";

const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 2000;

/** Longer the longer they are away, and never the same for two nodes. `chance` from 0 to 1. */
export function reconnectDelayMs(awayMs: number, chance: number): number {
  const wholeMs = Math.min(RECONNECT_MS_MAX, Math.max(RECONNECT_MS_MIN, awayMs / 4));
  return Math.round(wholeMs * (0.5 + chance / 2));
}

export class ConnectionWatch {
  readonly #connection: NatsConnection;
  readonly #log: Logger;
  readonly #observer: NatsObserver;
  #awaySince: number | undefined;
  #isClosing = false;

  constructor(connection: NatsConnection, log: Logger, observer: NatsObserver) {
    this.#connection = connection;
    this.#log = log;
    this.#observer = observer;
    void this.#follow();
    void connection.closed().then((error) => this.#ended(error ?? undefined));
  }

  awayMs(): number | undefined {
    return this.#awaySince === undefined ? undefined : performance.now() - this.#awaySince;
  }

  close(): Promise<void> {
    this.#isClosing = true;
    return this.#connection.close();
  }

  async #follow(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (this.#isClosing) return;
      if (status.type === "disconnect") this.#wentAway(status.server);
      else if (status.type === "reconnect") this.#cameBack(status.server);
      else if (status.type === "error") this.#complained(status.error);
      else if (status.type === "staleConnection") this.#log.warn("NATS does not answer pings");
    }
  }

  #wentAway(server: string): void {
    // A connection that ends while it is being made tells it again.
    if (this.#awaySince !== undefined) return;
    this.#awaySince = performance.now();
    this.#log.warn({ server }, "NATS is away; trying to reach it");
    this.#observer.away?.();
  }

  #cameBack(server: string): void {
    // After refusals the client library may have several tries under way, and tell of each.
    if (this.#awaySince === undefined) return;
    const awayMs = Math.round(performance.now() - this.#awaySince);
    this.#awaySince = undefined;
    const version = this.#connection.info?.version ?? "";
    this.#log.warn({ server, awayMs }, `NATS is back; it was away for ${inSeconds(awayMs)}`);
    if (!isNewEnough(version)) {
      this.#log.error({ server, version }, "this nats-server is too old: upgrade it");
    }
    this.#observer.back?.(awayMs);
  }

  #complained(error: Error): void {
    const isOurs = error instanceof PermissionViolationError;
    this.#log[isOurs ? "error" : "warn"]({ reason: error.message }, "NATS complains");
  }

  #ended(error: Error | undefined): void {
    if (this.#isClosing) return;
    const text = `The connection to NATS has ended: ${error?.message ?? "it was closed"}.`;
    this.#observer.lost?.(new CaxtonError("STORAGE_UNAVAILABLE", text, { cause: error }));
  }
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
