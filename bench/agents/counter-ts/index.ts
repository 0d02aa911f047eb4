import type { Message } from "caxton";

/** Counts its messages and answers with the count; query-ref is not counted itself. */
let count = 0;

export function onMessage(message: Message): string {
  if (message.performative !== "query-ref") count++;
  return String(count);
}
