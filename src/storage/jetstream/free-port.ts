/** A port of this machine that nobody listens on. */
import { createServer } from "node:net";
import { randomInt } from "node:crypto";

/**
 * Below the ports that systems give to connections: a client that tries one of those while nobody listens may be
 * connected to itself, and then nobody can listen there.
 */
const PORT_FROM = 20_000;
const PORT_BELOW = 32_000;
const TRIES_MAX = 100;

export async function freePort(): Promise<number> {
  for (let tries = 1; tries < TRIES_MAX; tries++) {
    const port = randomInt(PORT_FROM, PORT_BELOW);
    if (await isFree(port)) return port;
  }
  return randomInt(PORT_FROM, PORT_BELOW);
}

function isFree(port: number): Promise<boolean> {
  const listener = createServer();
  return new Promise((resolve) => {
    listener.once("error", () => resolve(false));
    listener.listen(port, "127.0.0.1", () => listener.close(() => resolve(true)));
  });
}
