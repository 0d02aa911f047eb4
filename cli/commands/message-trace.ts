/** `message trace`: the time line of a conversation. */
import type { Command } from "commander";
import {
  type TraceEffect,
  TraceEffectKind,
  type TraceEvent,
  TraceEventKind,
} from "../../src/gen/caxton/v1/message.ts";
import { durationMs } from "../arguments.ts";
import { type Column, exactTimeText, note } from "../output.ts";
import { textOf } from "../plain.ts";
import { inSession } from "../session.ts";
import { UsageError } from "../usage-error.ts";

const TIMEOUT_MS = 10_000;
const CONTENT_LENGTH_MAX = 60;
const DEPTH_MAX = 20;

interface TraceOptions {
  readonly message?: string;
  readonly timeout: number;
}

/** An event and how many messages led to its own. */
interface Line {
  readonly event: TraceEvent;
  readonly depth: number;
}

const COLUMNS: readonly Column<Line>[] = [
  { title: "TIME", value: ({ event }) => exactTimeText(event.atMs) },
  { title: "EVENT", value: ({ event }) => event.kind },
  {
    title: "RECEIVER",
    value: ({ event, depth }) => `${"  ".repeat(Math.min(depth, DEPTH_MAX))}${event.receiver}`,
  },
  { title: "MESSAGE", value: ({ event }) => event.messageId },
  { title: "CAUSE", value: ({ event }) => event.causeId, wide: true },
  { title: "PARTITION", value: ({ event }) => event.partition, wide: true },
  { title: "FRAME", value: ({ event }) => event.frame, wide: true },
  { title: "WHAT", value: ({ event }) => whatOf(event) },
];

export function addTraceCommand(message: Command): void {
  message
    .command("trace")
    .description("show who sent what, when it was handled and what that did")
    .argument("[conversation]", "conversation id")
    .option("--message <id>", "start from this message instead of a conversation")
    .option("--timeout <duration>", "how long to look at most", durationMs, TIMEOUT_MS)
    .action((conversation: string | undefined, options: TraceOptions, own: Command) =>
      inSession(own, async ({ client, printer }) => {
        const { message: messageId = "", timeout: timeoutMs } = options;
        if ((conversation === undefined) === (messageId === "")) {
          throw new UsageError("Give either a conversation or --message.");
        }
        const request = { conversationId: conversation ?? "", messageId, timeoutMs };
        const answer = await client.messages.traceMessage(request, { timeoutMs: timeoutMs * 2 });
        if (printer.isForPrograms) printer.document(answer);
        else printer.rows(linesOf(answer.events), COLUMNS);
        if (!answer.complete) note("incomplete: the time or 1,000 events were used up");
      }),
    );
}

function linesOf(events: readonly TraceEvent[]): Line[] {
  const depths = new Map<string, number>();
  return events.map((event) => {
    const { messageId, causeId } = event;
    const known = depths.get(messageId);
    const depth = causeId === "" ? (known ?? 0) : (depths.get(causeId) ?? 0) + 1;
    if (known === undefined) depths.set(messageId, depth);
    return { event, depth };
  });
}

function whatOf(event: TraceEvent): string {
  switch (event.kind) {
    case TraceEventKind.ARRIVED: {
      const { sender, performative, content } = event.message!;
      const text = textOf(content) ?? `${event.contentBytes} bytes`;
      const isCut = text.length > CONTENT_LENGTH_MAX;
      return `${performative} of ${sender}: ${isCut ? `${text.slice(0, CONTENT_LENGTH_MAX)}...` : text}`;
    }
    case TraceEventKind.HANDLED: {
      const effects = event.effects.map(effectText);
      if (event.open) effects.push("waits");
      return effects.length === 0 ? "nothing" : effects.join(", ");
    }
    default:
      return `${event.code} at attempt ${event.attempts}: ${event.reason}`;
  }
}

const EFFECT_TEXT: Readonly<Partial<Record<TraceEffectKind, string>>> = {
  [TraceEffectKind.SEND]: "send to",
  [TraceEffectKind.ASK]: "ask",
  [TraceEffectKind.REPLY]: "reply to",
  [TraceEffectKind.STATE_PUT]: "put",
  [TraceEffectKind.STATE_DELETE]: "delete",
  [TraceEffectKind.EVENT]: "event",
  [TraceEffectKind.TIMER_SET]: "set timer",
  [TraceEffectKind.TIMER_CANCEL]: "cancel timer",
};

function effectText({ kind, name }: TraceEffect): string {
  return `${EFFECT_TEXT[kind] ?? kind} ${name}`;
}
