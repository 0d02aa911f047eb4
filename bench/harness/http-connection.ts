/**
 * One HTTP/1.1 connection that is kept and carries one request at a time. It does as little as a client can, so
 * that the server is the one that is measured.
 *
 * Owns the socket, what has come of the answer, and who waits for it.
 * 1. Requests are bytes made beforehand; answers have a Content-Length or are chunked.
 * 2. Whatever ends the connection fails the request under way. One that a server ended between requests, as they do
 *    after a while, is opened again for the next.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEAD_END = "\r\n\r\n";
const LINE_END = "\r\n";
const LENGTH = /\r\ncontent-length: *(\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
const OK = "HTTP/1.1 200 ";

interface Waiting {
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class HttpConnection {
  readonly #endpoint: URL;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #waiting: Waiting | undefined;

  private constructor(endpoint: string) {
    this.#endpoint = new URL(`http://${endpoint}`);
  }

  static async open(endpoint: string): Promise<HttpConnection> {
    const connection = new HttpConnection(endpoint);
    await connection.#connect();
    return connection;
  }

  /** Resolves with the body of the answer, which has to be a 200. */
  async request(bytes: Buffer): Promise<Buffer> {
    const socket = this.#socket ?? (await this.#connect());
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      socket.write(bytes);
    });
  }

  close(): void {
    this.#socket?.destroy();
  }

  async #connect(): Promise<Socket> {
    const { hostname, port } = this.#endpoint;
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    socket.on("data", (data: Buffer) => this.#take(data));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the server closed the connection")));
    this.#socket = socket;
    return socket;
  }

  #take(data: Buffer): void {
    this.#received = this.#received.length === 0 ? data : Buffer.concat([this.#received, data]);
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.#received.toString("latin1", 0, headEnd);
    const body = bodyOf(head, this.#received, headEnd + HEAD_END.length);
    if (body === undefined) return;
    const { resolve, reject } = this.#waiting!;
    this.#waiting = undefined;
    this.#received = Buffer.alloc(0);
    if (head.startsWith(OK)) resolve(body);
    else reject(new Error(`${head.split(LINE_END)[0]!}: ${body.toString()}`));
  }

  #end(error: Error): void {
    this.#socket = undefined;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

export function httpRequest(verb: "GET" | "POST", path: string, json = ""): Buffer {
  const length = Buffer.byteLength(json);
  const about = json === "" ? [] : ["content-type: application/json", `content-length: ${length}`];
  const lines = [`${verb} ${path} HTTP/1.1`, "host: localhost", ...about, "", json];
  return Buffer.from(lines.join(LINE_END) + (json === "" ? LINE_END : ""));
}

/** Undefined while a part of it has not come. */
function bodyOf(head: string, bytes: Buffer, start: number): Buffer | undefined {
  const [, length] = LENGTH.exec(head) ?? [];
  if (length !== undefined) {
    const end = start + Number(length);
    return bytes.length < end ? undefined : bytes.subarray(start, end);
  }
  if (!CHUNKED.test(head)) throw new Error(`an answer without a length: ${head}`);
  const parts: Buffer[] = [];
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf(LINE_END, at);
    if (lineEnd < 0) return undefined;
    const from = lineEnd + LINE_END.length;
    const to = from + Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    at = to + LINE_END.length;
    if (bytes.length < at) return undefined;
    if (to === from) return Buffer.concat(parts);
    parts.push(bytes.subarray(from, to));
  }
}
