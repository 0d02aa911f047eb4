/** Content of messages as programs write and read it. */

export interface Content {
  readonly bytes: Uint8Array;
  /** The bytes as UTF-8. */
  readonly text: string;
  /** The content parsed as JSON; throws a SyntaxError when it is none. */
  json<T = unknown>(): T;
}

/** As an agent's own `send` does: text as text, bytes as bytes, anything else as JSON. */
export function encodeContent(content: unknown): { content: Uint8Array; contentType: string } {
  if (typeof content === "string") {
    return { content: Buffer.from(content), contentType: "text/plain" };
  }
  if (content instanceof Uint8Array) return { content, contentType: "application/octet-stream" };
  return { content: Buffer.from(JSON.stringify(content)), contentType: "application/json" };
}

export function contentOf(bytes: Uint8Array): Content {
  return {
    bytes,
    get text() {
      return Buffer.from(bytes).toString("utf8");
    },
    json<T>() {
      return JSON.parse(this.text) as T;
    },
  };
}
