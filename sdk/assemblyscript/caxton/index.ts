import { Block } from "./block";
import { Draft } from "./draft";
import * as host from "./host";
import { Message } from "./message";

export { Draft, Message };

/** Where keys, values and texts are put for the host, which reads them within the call. */
const out = new Block();
/** Where the host puts its answers. */
const answer = new Block();
const draft = new Draft();

/** Sends text. For anything else build a Draft. */
export function send(receiver: string, text: string, performative: string = "inform"): void {
  draft.to(receiver).text(text).performative(performative).send();
}

/**
 * Sends text and expects a reply, which arrives as a later message whose `correlation` is the number
 * returned here. Call keepOpen() if other messages shall wait until then. 0 ms means 30 seconds.
 */
export function ask(receiver: string, text: string, timeoutMs: i32 = 0): u64 {
  return draft.to(receiver).text(text).performative("request").ask(timeoutMs);
}

/** Answers the message whose handler this is with text; at most once. */
export function reply(text: string): void {
  draft.to("").text(text).reply();
}

let open = false;

/** The handler is not done when it returns: it waits for a reply or a timer, other messages wait in order. */
export function keepOpen(): void {
  open = true;
}

/** For the kit: whether the handler that just ran stays open. */
export function takeOpen(): bool {
  const wasOpen = open;
  open = false;
  return wasOpen;
}

/** Fails the turn: nothing it did takes place, and the message is tried again later. */
export function fail(reason: string): void {
  const bytes = out.writeText(0, reason);
  host.fail(out.at, bytes);
}

/** Key-value state: kept over a change of the code, and readable from outside. */
export namespace state {
  export function get(key: string): string | null {
    const bytes = read(key);
    return bytes < 0 ? null : String.UTF8.decodeUnsafe(answer.at, bytes);
  }
  export function getBytes(key: string): Uint8Array | null {
    const bytes = read(key);
    return bytes < 0 ? null : copyOf(answer.at, bytes);
  }
  export function put(key: string, value: string): void {
    const keyBytes = out.writeText(0, key);
    const valueBytes = out.writeText(keyBytes, value);
    host.statePut(out.at, keyBytes, out.at + keyBytes, valueBytes);
  }
  export function putBytes(key: string, value: Uint8Array): void {
    const keyBytes = out.writeText(0, key);
    host.statePut(out.at, keyBytes, value.dataStart, value.length);
  }
  export function remove(key: string): void {
    const keyBytes = out.writeText(0, key);
    host.stateDelete(out.at, keyBytes);
  }
  /** Keys with the prefix, in byte order. */
  export function keys(prefix: string = ""): Array<string> {
    const prefixBytes = out.writeText(0, prefix);
    answer.reserve(1024);
    let bytes = host.stateList(out.at, prefixBytes, answer.at, 1024);
    if (bytes > 1024) {
      answer.reserve(bytes);
      bytes = host.stateList(out.at, prefixBytes, answer.at, bytes);
    }
    const found: Array<string> = [];
    for (let at = answer.at; at < answer.at + bytes; at += 2 + load<u16>(at)) {
      found.push(String.UTF8.decodeUnsafe(at + 2, load<u16>(at)));
    }
    return found;
  }

  function read(key: string): i32 {
    const keyBytes = out.writeText(0, key);
    answer.reserve(1024);
    const bytes = host.stateGet(out.at, keyBytes, answer.at, 1024);
    if (bytes <= 1024) return bytes;
    answer.reserve(bytes);
    return host.stateGet(out.at, keyBytes, answer.at, bytes);
  }
}

export namespace timers {
  /** Delivers the text as a timer message after the delay; the same id replaces. */
  export function set(id: u64, delayMs: i32, text: string = ""): void {
    const bytes = out.writeText(0, text);
    host.timerSet(id, delayMs, out.at, bytes);
  }
  export function cancel(id: u64): void {
    host.timerCancel(id);
  }
}

/** A domain event: it leaves the server at least once. */
export function emit(topic: string, content: string): void {
  const topicBytes = out.writeText(0, topic);
  const bytes = out.writeText(topicBytes, content);
  host.emit(out.at, topicBytes, out.at + topicBytes, bytes);
}

const DEBUG = 0;
const INFO = 1;
const WARN = 2;
const ERROR = 3;

function writeLog(level: i32, text: string): void {
  const bytes = out.writeText(0, text);
  host.log(level, out.at, bytes);
}

/** Lines of the server's log. console.log() and its like work too. */
export namespace log {
  export function debug(text: string): void {
    writeLog(DEBUG, text);
  }
  export function info(text: string): void {
    writeLog(INFO, text);
  }
  export function warn(text: string): void {
    writeLog(WARN, text);
  }
  export function error(text: string): void {
    writeLog(ERROR, text);
  }
}

/** Milliseconds since 1970; constant within a turn. Date.now() answers the same. */
export function now(): i64 {
  return i64(host.now());
}

/** In [0, 1). Math.random() works too. */
export function random(): f64 {
  return host.random();
}

/** A value of the manifest's `config`; null when there is none. */
export function config(key: string): string | null {
  const keyBytes = out.writeText(0, key);
  answer.reserve(1024);
  let bytes = host.configGet(out.at, keyBytes, answer.at, 1024);
  if (bytes < 0) return null;
  if (bytes > 1024) {
    answer.reserve(bytes);
    bytes = host.configGet(out.at, keyBytes, answer.at, bytes);
  }
  return String.UTF8.decodeUnsafe(answer.at, bytes);
}

/** A value of the manifest's `flags`; false when there is none. */
export function flag(key: string): bool {
  const keyBytes = out.writeText(0, key);
  return host.flagGet(out.at, keyBytes) == 1;
}

/** The actor's own address. */
export function self(): string {
  answer.reserve(1024);
  return String.UTF8.decodeUnsafe(answer.at, host.self(answer.at, 1024));
}

let exported: Uint8Array | null = null;

/** What `caxton_export_state` returns. */
export function exportState(copy: Uint8Array): i64 {
  exported = copy;
  return (i64(copy.dataStart) << 32) | i64(copy.length);
}

/** What `caxton_import_state` was given. */
export function importedState(at: i32, bytes: i32): Uint8Array {
  return copyOf(at, bytes);
}

function copyOf(at: usize, bytes: i32): Uint8Array {
  const copy = new Uint8Array(bytes);
  memory.copy(copy.dataStart, at, bytes);
  return copy;
}

/** Stands in for the global `console`. */
export namespace console {
  export function log(text: string): void {
    writeLog(INFO, text);
  }
  export function debug(text: string): void {
    writeLog(DEBUG, text);
  }
  export function info(text: string): void {
    writeLog(INFO, text);
  }
  export function warn(text: string): void {
    writeLog(WARN, text);
  }
  export function error(text: string): void {
    writeLog(ERROR, text);
  }
}
