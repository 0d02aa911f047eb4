import type { Context, Message } from "caxton";

/** A variable like any other, and durable: it outlives a crash of the server. */
let greeted = 0;

export async function onMessage(message: Message, ctx: Context): Promise<string> {
  greeted++;
  ctx.log.info(`greeting number ${greeted}: ${message.text}`);
  return `Hello ${message.text}, you are number ${greeted}.`;
}
