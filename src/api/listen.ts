import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { ListenerConfig } from "../base/config-schema.ts";
import { CaxtonError } from "../base/errors.ts";

/** Names the port and the option that moves it. */
export function listenFailed(option: string, address: string, cause: Error): CaxtonError {
  const why = cause.message.includes("EADDRINUSE") ? "it is in use" : cause.message;
  const text = `Can't listen on ${address}: ${why}. The option is ${option}.`;
  return new CaxtonError("LISTEN_FAILED", text, { cause });
}

/** Resolves with the port. */
export function listenHttp(
  server: Server,
  option: string,
  { host, port }: ListenerConfig,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenFailed(option, `${host}:${port}`, error)));
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Resolves when no connection is left; those still busy after a while are cut off. */
export function closeHttp(server: Server, patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), patienceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
