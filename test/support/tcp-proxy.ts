/** A way to a server that loses on demand what the server answers. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isSwallowing = false;
  #lastAnswer: string | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(toPort: number): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on("connection", (client) => proxy.#join(client, connect(toPort, "127.0.0.1")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy is closed");
    return `127.0.0.1:${address.port}`;
  }

  /** From now on nothing of what the server says arrives; or from when it has said this. */
  swallowAnswers(after?: string): void {
    this.#isSwallowing = after === undefined;
    this.#lastAnswer = after;
  }

  /** Ends all connections; new ones lose nothing. */
  cut(): void {
    this.#isSwallowing = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    client.on("data", (bytes) => server.write(bytes));
    server.on("data", (bytes) => {
      if (this.#isSwallowing) return;
      client.write(bytes);
      const isLast = this.#lastAnswer !== undefined && bytes.includes(this.#lastAnswer);
      if (isLast) this.swallowAnswers();
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
