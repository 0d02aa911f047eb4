/** `message stream`: prints events until the count is reached, the server ends it, or a signal comes. */
import type { ServiceError } from "@grpc/grpc-js";
import type { SubscribeMessagesResponse } from "../src/gen/caxton/v1/message.ts";
import { CallError } from "./failure.ts";
import { note } from "./output.ts";
import { textOf } from "./plain.ts";
import type { Session } from "./session.ts";

const CONTENT_LENGTH_MAX = 120;

export interface StreamOptions {
  readonly address: string;
  readonly performative: string[];
  readonly conversation: string;
  readonly count?: number;
}

export async function streamMessages(session: Session, options: StreamOptions): Promise<void> {
  const { client, printer } = session;
  const { address, performative: performatives, conversation: conversationId } = options;
  const stream = client.messages().subscribeMessages({ address, performatives, conversationId });
  stream.on("metadata", () => note("subscribed"));
  let printed = 0;
  try {
    for await (const event of stream as AsyncIterable<SubscribeMessagesResponse>) {
      printer.event(eventText(event), event);
      printed++;
      if (printed === options.count) return;
    }
  } catch (error) {
    throw new CallError(error as ServiceError, client.endpoint);
  }
}

function eventText({ message, partition, frame }: SubscribeMessagesResponse): string {
  const { sender, receiver, performative, content } = message!;
  const text = textOf(content) ?? `${content.length} bytes`;
  const short = text.length > CONTENT_LENGTH_MAX ? `${text.slice(0, CONTENT_LENGTH_MAX)}...` : text;
  return `${partition}:${frame} ${sender} -> ${receiver} ${performative} ${short.replaceAll("\n", "\\n")}`;
}
