/** What a handler gets beside its message. */
import type { AskOptions, Content, Context, Log, Message, MessageOptions, State } from "caxton";
import { unescapeKey } from "./address.ts";
import { bytesOf, draftOf } from "./draft.ts";
import { INFORM, REQUEST } from "./envelope.ts";
import { ask, isCurrent, reply, setTimer } from "./handlers.ts";
import type { Handler } from "./handlers.ts";
import { host } from "./host.ts";
import { log } from "./log.ts";

const state: State = {
  get: (key) => host.stateGet(key),
  getText: (key) => {
    const bytes = host.stateGet(key);
    return bytes && host.decode(bytes);
  },
  getJson: <T>(key: string) => {
    const bytes = host.stateGet(key);
    return bytes && (JSON.parse(host.decode(bytes)) as T);
  },
  put: (key, value) => {
    host.statePut(key, bytesOf(value));
  },
  delete: (key) => {
    host.stateDelete(key);
  },
  list: (prefix = "") => keysOf(host.stateList(prefix)),
};

function keysOf(list: Uint8Array): string[] {
  const keys: string[] = [];
  for (let at = 0; at < list.length;) {
    const end = at + 2 + (list[at]! | (list[at + 1]! << 8));
    keys.push(host.decode(list.subarray(at + 2, end)));
    at = end;
  }
  return keys;
}

export class HandlerContext implements Context {
  readonly state: State = state;
  readonly log: Log = log;
  private readonly handler: Handler;

  constructor(handler: Handler) {
    this.handler = handler;
  }

  get self(): string {
    return host.self();
  }

  get namespace(): string {
    return host.self().split("/")[0]!;
  }

  get agent(): string {
    return host.self().split("/")[1]!;
  }

  get key(): string {
    return unescapeKey(host.self().split("/")[2]!);
  }

  send(to: string, content: Content, options?: MessageOptions): void {
    const draft = draftOf(content, INFORM, options);
    host.send(to, draft.codes, draft.content, draft.extensions);
  }

  ask(to: string, content: Content, options?: AskOptions): Promise<Message> {
    return ask(to, draftOf(content, REQUEST, options), options?.timeoutMs ?? 0);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      setTimer(ms, false, resolve);
    });
  }

  reply(content: Content, options?: MessageOptions): void {
    if (!isCurrent(this.handler)) {
      throw new Error("reply() was called in the turn of another message");
    }
    this.handler.replied = true;
    reply(draftOf(content, INFORM, options));
  }

  emit(topic: string, content: Content): void {
    host.emit(topic, bytesOf(content));
  }

  config(name: string): string | undefined {
    return host.config(name);
  }

  flag(name: string): boolean {
    return host.flag(name) === 1;
  }

  now(): number {
    return host.now();
  }
}
