/** A way to a server as a bad network is one: each chunk comes late, now and then all of them stand still, none is lost. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { SeededRandom } from "../../../src/base/random.ts";

/** One way, of 200 ms there and back. */
const LATE_MS = 100;
/** What losing one packet in a hundred costs: the time until it is sent again, and all behind it waits. */
const STALLED_SHARE = 0.01;
const STALL_MS_MIN = 200;
const STALL_MS_MAX = 1000;

export interface SlowLink {
  readonly url: string;
  /** How often all stood still so far. */
  stalls(): number;
}

/** Gone with the test. */
export async function slowLink(toPort: number, seed: number): Promise<SlowLink> {
  const sockets = new Set<Socket>();
  const random = new SeededRandom(seed);
  let stalls = 0;
  const lateMs = (): number => {
    if (random.nextFloat() >= STALLED_SHARE) return LATE_MS;
    stalls++;
    return LATE_MS + STALL_MS_MIN + random.nextFloat() * (STALL_MS_MAX - STALL_MS_MIN);
  };
  const server = createServer((client) => {
    const target = connect(toPort, "127.0.0.1");
    carry(client, target, lateMs);
    carry(target, client, lateMs);
    for (const socket of [client, target]) sockets.add(socket.setNoDelay());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: urlOf(server), stalls: () => stalls };
}

/** Nothing overtakes what came before it. */
function carry(from: Socket, to: Socket, lateMs: () => number): void {
  const under: { readonly atMs: number; readonly arrive: () => void }[] = [];
  let atMs = 0;
  const arrive = (): void => {
    while (under.length > 0 && under[0]!.atMs <= performance.now()) under.shift()!.arrive();
    if (under.length > 0) setTimeout(arrive, Math.max(1, under[0]!.atMs - performance.now()));
  };
  const send = (act: () => void): void => {
    atMs = Math.max(atMs, performance.now() + lateMs());
    if (under.push({ atMs, arrive: act }) === 1) setTimeout(arrive, atMs - performance.now());
  };
  from.on("data", (bytes) => send(() => to.write(bytes)));
  from.on("end", () => send(() => to.end()));
  from.on("error", () => to.destroy());
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it does not listen");
  return `127.0.0.1:${address.port}`;
}
