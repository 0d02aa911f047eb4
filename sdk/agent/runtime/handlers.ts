/**
 * The handling of messages, which may last longer than a turn: what it awaits lies in memory, and memory is
 * durable.
 *
 * Owns the open handlers and what they wait for.
 * 1. `current` is the handler the turn belongs to; what is asked and set in a turn counts as its.
 * 2. A handler is open while its promise is pending. One that waits for nothing can't go on, and fails.
 */
import type { Message } from "caxton";
import { AskError } from "./ask-error.ts";
import { draftOf } from "./draft.ts";
import type { Draft } from "./draft.ts";
import { FLAG_FAILURE, INFORM } from "./envelope.ts";
import { host } from "./host.ts";
import type { IncomingMessage } from "./message.ts";

const DONE = 0;
const OPEN = 1;
const NEVER_SETTLES = 2;

type Outcome =
  | { readonly kind: "pending" }
  | { readonly kind: "returned"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: unknown };

const PENDING: Outcome = { kind: "pending" };

export interface Handler {
  /** Undefined for a timer's, and for a reply's that came after its handler was done. */
  readonly message: IncomingMessage | undefined;
  outcome: Outcome;
  /** Replies and timers that may still come for it. */
  waitsFor: number;
  replied: boolean;
}

interface Ask {
  readonly handler: Handler;
  resolve(reply: Message): void;
  reject(error: AskError): void;
}

interface Timer {
  readonly handler: Handler;
  /** Undefined for one that fires once. */
  readonly everyMs: number | undefined;
  fire(): unknown;
}

const asks = new Map<number, Ask>();
const timers = new Map<number, Timer>();
let lastTimer = 0;
let current: Handler;

export function isCurrent(handler: Handler): boolean {
  return handler === current;
}

/** Runs the code of a message of its own. */
export function begin(
  message: IncomingMessage | undefined,
  code: (handler: Handler) => unknown,
): void {
  const handler: Handler = { message, outcome: PENDING, waitsFor: 0, replied: false };
  current = handler;
  try {
    const value = code(handler);
    if (!(value instanceof Promise)) {
      handler.outcome = { kind: "returned", value };
      return;
    }
    value.then(
      (result: unknown) => {
        handler.outcome = { kind: "returned", value: result };
      },
      (error: unknown) => {
        handler.outcome = { kind: "failed", error };
      },
    );
  } catch (error) {
    handler.outcome = { kind: "failed", error };
  }
}

/** Goes on with a handler, or, when it is done, with what it left behind. */
function goOn(handler: Handler, code: () => unknown): void {
  handler.waitsFor--;
  if (handler.outcome.kind !== "pending") {
    begin(undefined, code);
    return;
  }
  current = handler;
  code();
}

export function reply({ codes, content, extensions }: Draft): void {
  host.reply("", codes, content, extensions);
}

export function ask(to: string, draft: Draft, timeoutMs: number): Promise<Message> {
  const number = host.ask(to, draft.codes, draft.content, draft.extensions, timeoutMs);
  const handler = current;
  handler.waitsFor++;
  return new Promise((resolve, reject) => {
    asks.set(number, { handler, resolve, reject });
  });
}

export function answered(message: IncomingMessage): void {
  const waiting = asks.get(message.correlation);
  if (waiting === undefined) {
    begin(undefined, () => undefined);
    return;
  }
  asks.delete(message.correlation);
  goOn(waiting.handler, () => {
    if ((message.flags & FLAG_FAILURE) === 0) waiting.resolve(message);
    else waiting.reject(new AskError(message.errorCode ?? "AGENT_FAILED", message.text));
  });
}

export function setTimer(delayMs: number, repeats: boolean, fire: () => unknown): number {
  const id = ++lastTimer;
  const wait = Number.isFinite(delayMs)
    ? Math.min(Math.max(Math.trunc(delayMs), 0), 0xffffffff)
    : 0;
  current.waitsFor++;
  host.timerSet(id, wait);
  timers.set(id, { handler: current, everyMs: repeats ? wait : undefined, fire });
  return id;
}

export function clearTimer(id: number): void {
  const timer = timers.get(id);
  if (timer === undefined) return;
  timers.delete(id);
  timer.handler.waitsFor--;
  host.timerCancel(id);
}

export function fired(id: number): void {
  const timer = timers.get(id);
  if (timer === undefined) {
    begin(undefined, () => undefined);
    return;
  }
  timers.delete(id);
  goOn(timer.handler, () => {
    const { everyMs } = timer;
    if (everyMs !== undefined) {
      current.waitsFor++;
      host.timerSet(id, everyMs);
      timers.set(id, { ...timer, handler: current });
    }
    return timer.fire();
  });
}

/** After everything that could run in this turn has run: what becomes of its handler. */
export function settle(): number {
  const handler = current;
  const { outcome, message } = handler;
  switch (outcome.kind) {
    case "pending":
      return handler.waitsFor > 0 ? OPEN : NEVER_SETTLES;
    case "failed":
      return host.fail(outcome.error);
    case "returned":
      if (message?.wantsReply === true && !handler.replied) {
        reply(draftOf(outcome.value ?? "", INFORM));
      }
      return DONE;
  }
}
