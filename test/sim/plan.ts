/** What the content of a message tells a scripted agent to do. */
import { AT_CORRELATION, envelopeParts } from "../../src/actors/wasm/envelope.ts";

export type Op =
  | { readonly op: "send"; readonly to: string; readonly plan: Plan }
  | {
      readonly op: "ask";
      readonly to: string;
      readonly ms: number;
      readonly plan: Plan;
      readonly then: readonly Op[];
    }
  | { readonly op: "reply"; readonly bytes: number }
  | { readonly op: "put"; readonly key: string; readonly bytes: number }
  | { readonly op: "delete"; readonly key: string }
  /** Fires a message of its own. */
  | { readonly op: "timer"; readonly ms: number; readonly plan: Plan }
  | { readonly op: "replace-timer"; readonly ms: number; readonly plan: Plan }
  | { readonly op: "cancel" }
  /** Waits inside the handler. */
  | { readonly op: "sleep"; readonly ms: number; readonly then: readonly Op[] }
  /** Sends itself on, from actor to actor. */
  | { readonly op: "walk"; readonly steps: number; readonly keys: number }
  | { readonly op: "log" }
  | { readonly op: Deed };

/** What no agent should do. */
export type Deed = "trap" | "fail" | "fuel" | "slow" | "big" | "crash" | "drift" | "flaky";

/** A message's content. */
export interface Plan {
  /** Token, where the message's id is none. */
  readonly token?: string;
  /** Place in the stream from its sender to its receiver. */
  readonly place?: number;
  readonly ops: readonly Op[];
  readonly padding?: string;
}

const NO_PLAN: Plan = { ops: [] };

/** What names a message for ever, or a timer's and a failure's while it matters. */
export function tokenOf(envelope: Buffer, offset: number): string {
  const { id: idAt, sender, content, end } = envelopeParts(envelope, offset);
  const id = envelope.toString("latin1", idAt, sender);
  // Most have none, and plans take long to read.
  const { token } = envelope.subarray(content, end).includes('"token"')
    ? planOf(envelope, offset)
    : NO_PLAN;
  if (token !== undefined) return token;
  return id === "" ? `answer ${envelope.readBigUInt64LE(offset + AT_CORRELATION)}` : id;
}

export function planOf(envelope: Buffer, offset: number): Plan {
  const { content, end } = envelopeParts(envelope, offset);
  // Only plans begin like one.
  if (end === content || envelope[content] !== 0x7b) return NO_PLAN;
  return JSON.parse(envelope.toString("utf8", content, end).trimEnd()) as Plan;
}
