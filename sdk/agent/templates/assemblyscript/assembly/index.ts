import { Message, log, reply } from "caxton";

/** A variable like any other, and durable: it outlives a crash of the server. */
let greeted = 0;

export function onMessage(message: Message): void {
  greeted++;
  log.info(`greeting number ${greeted}: ${message.text}`);
  reply(`Hello ${message.text}, you are number ${greeted}.`);
}
