import "./abort";
import { Block } from "./block";
import { takeOpen } from "./index";
import { Message } from "./message";

/** The host writes every message here. */
const inbox = new Block();
const message = new Message();

export function allocate(bytes: i32): i32 {
  inbox.reserve(bytes);
  return i32(inbox.at);
}

/** The message the host wrote. */
export function received(at: i32): Message {
  return message.attach(at);
}

/** What caxton_handle returns when the author's handler is through. */
export function result(): i32 {
  return takeOpen() ? 1 : 0;
}
