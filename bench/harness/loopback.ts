/** Ports of this machine for servers that are started here. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";

const HOST = "127.0.0.1";

/** They were free a moment ago. All are held at once, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const listeners = Array.from({ length: count }, () => createServer().listen(0, HOST));
  await Promise.all(listeners.map((listener) => once(listener, "listening")));
  const ports = listeners.map((listener) => (listener.address() as AddressInfo).port);
  await Promise.all(listeners.map((listener) => once(listener.close(), "close")));
  return ports;
}

const FIRST_WORD_MS_MAX = 1000;

/** Whether a nats-server takes connections there: it speaks first. */
export function natsAccepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: HOST });
    // A port nobody listens on may become both ends of the connection, and then nobody speaks.
    socket.setTimeout(FIRST_WORD_MS_MAX, () => settle(false));
    const settle = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("data", () => settle(true));
    socket.once("error", () => settle(false));
    socket.once("close", () => settle(false));
  });
}
