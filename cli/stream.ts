/** Prints events until the count is reached, the server ends the stream, or a signal comes. */
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { CallError } from "./failure.ts";
import type { Session } from "./session.ts";

export async function printEvents<E>(
  { client, printer }: Session,
  stream: ClientReadableStream<E>,
  textOf: (event: E) => string,
  countMax = Infinity,
): Promise<void> {
  let printed = 0;
  try {
    for await (const event of stream as AsyncIterable<E>) {
      printer.event(textOf(event), event);
      printed++;
      if (printed === countMax) return;
    }
  } catch (error) {
    throw new CallError(error as ServiceError, client.endpoint);
  }
}
