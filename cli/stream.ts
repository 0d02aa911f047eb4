/** Prints events until the count is reached, the server ends the stream, or a signal comes. */
import type { EventStream } from "../sdk/client-ts/index.ts";
import type { Session } from "./session.ts";

export async function printEvents<E>(
  { printer }: Session,
  stream: EventStream<E>,
  textOf: (event: E) => string,
  countMax = Infinity,
): Promise<void> {
  let printed = 0;
  for await (const event of stream) {
    printer.event(textOf(event), event);
    printed++;
    if (printed === countMax) return;
  }
}
