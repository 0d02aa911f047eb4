/** Content and messages as tests write and read them. */
import type { Content, SendOptions } from "caxton/test";
import { OutgoingMessage } from "../../../src/gen/caxton/v1/message.ts";

export function outgoing(to: string, content: unknown, options: SendOptions): OutgoingMessage {
  return OutgoingMessage.create({ receiver: to, ...encoded(content), ...options });
}

/** As an agent's own `send` does: text as text, bytes as bytes, anything else as JSON. */
function encoded(content: unknown): { content: Uint8Array; contentType: string } {
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
