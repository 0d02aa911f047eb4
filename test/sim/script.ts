/**
 * The scripted agent: what a message tells it to do is in the message. A deterministic function of memory,
 * message, seed and time, but for what is meant not to be.
 */
import {
  FLAG_FAILURE,
  FLAG_REPLY,
  FLAG_TIMER,
  AT_CORRELATION,
  envelopeFlags,
  envelopeParts,
} from "../../src/actors/wasm/envelope.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { WORK, addressOf } from "./agents.ts";
import type { Guest } from "./guest.ts";
import { planOf, tokenOf } from "./plan.ts";
import type { Deed, Op, Plan } from "./plan.ts";

export interface Memory {
  turns: number;
  mix: number;
  /** By correlation of the answer. */
  waiting: Record<string, Waiting>;
  /** Answers each handler waits for. */
  open: Record<string, number>;
}

/** What to do when an answer or timer comes. */
interface Waiting {
  readonly handler: string;
  readonly ops: readonly Op[];
  /** The handler stays open for it. */
  readonly awaited: boolean;
}

/** What a committed turn says about itself, for the ledger. */
export interface Note {
  readonly token: string;
  readonly turns: number;
  readonly count: number;
  readonly mix: number;
  readonly nowMs: number;
  readonly sender: string;
  readonly place: number | undefined;
  readonly drifts: boolean;
}

/** The process is gone. */
export class ProcessCrash extends Error {}

export const NOTE_TOPIC = "note";

export function newMemory(): Memory {
  return { turns: 0, mix: 0, waiting: {}, open: {} };
}

/** Handles one message; true when the handler stays open. */
export function runScript(memory: Memory, guest: Guest): boolean {
  const { bytes, offset } = guest.message;
  const flags = envelopeFlags(bytes, offset);
  const correlation = String(bytes.readBigUInt64LE(offset + AT_CORRELATION));
  const isAnswer = (flags & (FLAG_REPLY | FLAG_FAILURE | FLAG_TIMER)) !== 0;
  const key = `${(flags & FLAG_TIMER) === 0 ? "ask" : "timer"} ${correlation}`;
  const waiting = isAnswer ? memory.waiting[key] : undefined;
  const plan = planOf(bytes, offset);
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
  if (isAnswer) delete memory.waiting[key];
  const handler = (guest.continues ? waiting?.handler : undefined) ?? `h${guest.count + 1}`;
  const continued = guest.continues && waiting?.awaited === true;
  if (continued) memory.open[handler] = memory.open[handler]! - 1;
  const ops = waiting?.awaited !== true ? plan.ops : continued ? waiting.ops : [];
  memory.turns++;
  note(memory, guest, plan, ops);
  for (const op of ops) runOp(memory, guest, handler, op);
  const stays = (memory.open[handler] ?? 0) > 0;
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
  if (!stays) delete memory.open[handler];
  return stays;
}

function note(memory: Memory, guest: Guest, plan: Plan, ops: readonly Op[]): void {
  const { bytes, offset } = guest.message;
  const count = guest.count + 1;
  guest.put("count", String(count));
  const token = tokenOf(bytes, offset);
  const nowMs = guest.nowMs();
  const seen = [memory.mix, count, nowMs, guest.random() * 0x7fffffff, ...Buffer.from(token)];
  memory.mix = seen.reduce((mix, n) => (Math.imul(mix ^ n, 0x01000193) ^ (mix >>> 15)) | 0, 17);
  const parts = envelopeParts(bytes, offset);
  const text: Note = {
    token,
    turns: memory.turns,
    count,
    mix: memory.mix,
    nowMs,
    sender: bytes.toString("latin1", parts.sender, parts.receiver),
    place: plan.place,
    drifts: ops.some(({ op }) => op === "drift"),
  };
  guest.emit(NOTE_TOPIC, JSON.stringify({ note: text, address: guest.address }));
  guest.startPlaces(count);
}

function runOp(memory: Memory, guest: Guest, handler: string, op: Op): void {
  switch (op.op) {
    case "send":
      guest.send(op.to, op.plan);
      return;
    case "ask":
      await_(memory, handler, `ask ${guest.ask(op.to, op.ms, op.plan)}`, op.then);
      return;
    case "reply":
      if (!guest.hasReplied) guest.reply(op.bytes);
      return;
    case "put":
      guest.put(op.key, "x".repeat(op.bytes));
      return;
    case "delete":
      guest.delete(op.key);
      return;
    case "timer":
    case "replace-timer": {
      const id = op.op === "timer" ? guest.newId() : 0;
      guest.setTimer(id, op.ms, op.plan);
      memory.waiting[`timer ${id}`] = { handler, ops: [], awaited: false };
      return;
    }
    case "cancel":
      guest.cancelTimer(0);
      return;
    case "sleep": {
      const id = guest.newId();
      guest.setTimer(id, op.ms, { ops: [] });
      await_(memory, handler, `timer ${id}`, op.then);
      return;
    }
    case "walk": {
      if (op.steps === 0) return;
      const to = addressOf(WORK, Math.floor(guest.random() * op.keys));
      guest.send(to, { ops: [{ ...op, steps: op.steps - 1 }] });
      return;
    }
    case "log":
      guest.log(`handled ${memory.turns}`);
      return;
    default:
      misbehave(guest, op.op);
  }
}

/** The handler goes on with `then` when the answer comes. */
function await_(memory: Memory, handler: string, key: string, ops: readonly Op[]): void {
  memory.waiting[key] = { handler, ops, awaited: true };
  memory.open[handler] = (memory.open[handler] ?? 0) + 1;
}

function misbehave(guest: Guest, deed: Deed): void {
  switch (deed) {
    case "trap":
      throw new Error("unreachable executed");
    case "fail":
      return guest.fail("it was told to");
    case "fuel":
      throw new CaxtonError("FUEL_EXHAUSTED");
    case "slow":
      throw new CaxtonError("TURN_TIMEOUT");
    case "big":
      for (let i = 0; i < 1000; i++) guest.emit("big", "x".repeat(500));
      return;
    case "crash":
      throw new ProcessCrash();
    case "drift":
      guest.emit("drift", String(guest.entropy()));
      return;
    case "flaky":
      if (!guest.isReplay && guest.entropy() % 2 === 0) throw new Error("flaky");
  }
}
