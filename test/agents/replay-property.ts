/**
 * The replay property: an actor that loses its memory time and again, and gets it back from an image or from an
 * older image and the messages since, does byte for byte what one does that is left alone.
 */
import { SeededRandom } from "../../src/base/random.ts";
import {
  FLAG_CLIENT,
  FLAG_FAILURE,
  FLAG_REPLY,
  FLAG_TIMER,
  FLAG_WANTS_REPLY,
} from "../../src/actors/wasm/envelope.ts";
import type { LoadedModule } from "../../src/actors/wasm/loaded-module.ts";
import { Solo, type SavedActor, type SoloMessage } from "./solo.ts";

/** A message and what else its turn depends on. */
interface Input {
  readonly message: SoloMessage;
  readonly nowMs: number;
  readonly seed: number;
}

const SPEC =
  "limits: {fuelPerMessage: 1000000, stateBytesMax: 20000, timersMax: 50}, flags: {on: true}";

const VERBS = [
  "put get delete list send draft emit log timer cancel ask both wait now random self config flag count count-fail",
  "fail trap twice echo message handled memory open emit draft address set cancel wait 1 2 100 words grow",
].flatMap((line) => line.split(" "));
const WORDS = ["a", "b", "key", "7", "12", "on", "default/other/x", "the quick brown fox", ""];
const KINDS = [
  0,
  0,
  0,
  FLAG_WANTS_REPLY,
  FLAG_WANTS_REPLY,
  FLAG_CLIENT,
  FLAG_CLIENT | FLAG_WANTS_REPLY,
];
const ANSWERS = [FLAG_REPLY, FLAG_FAILURE, FLAG_TIMER];

function randomInput(random: SeededRandom, nowMs: number): Input {
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)]!;
  const isAnswer = random.chance(0.2);
  const text = [pick(VERBS), pick(WORDS), pick(WORDS), pick(WORDS)].join(" ");
  const noise = Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256)));
  return {
    message: {
      content: random.chance(0.1) ? noise : text.repeat(random.chance(0.02) ? 100 : 1),
      flags: isAnswer ? pick(ANSWERS) : pick(KINDS),
      performative: pick(["inform", "request", "query-ref", "own"]),
      contentType: pick(["text/plain", "application/json", "application/octet-stream", "own/type"]),
      id: `id-${random.below(1000)}`,
      correlation: BigInt(random.below(8)),
      ...(random.chance(0.2) ? { headers: { a: pick(WORDS) }, conversationId: pick(WORDS) } : {}),
      ...(isAnswer ? { errorCode: "ASK_TIMEOUT" } : {}),
    },
    nowMs,
    seed: random.nextUint32(),
  };
}

/** All that is seen of a turn, a failed one included. */
function outcome(solo: Solo, { message, nowMs, seed }: Input): string {
  solo.nowMs = nowMs;
  solo.seed = seed;
  try {
    const { bytes, isOpen, logs } = solo.deliver(message);
    return `${String(isOpen)} ${JSON.stringify(logs)} ${bytes.toString("base64")}`;
  } catch (error) {
    return String(error);
  }
}

function requireSame(one: Solo, other: Solo, at: number): void {
  const [left, right] = [one.image(), other.image()];
  const globals = ({ globals: values }: typeof left): string => values.map(String).join(",");
  if (!left.pages.equals(right.pages) || globals(left) !== globals(right)) {
    throw new Error(`memory differs after message ${at}`);
  }
}

export interface ReplayRun {
  readonly messages: number;
  readonly restores: number;
  readonly failures: number;
}

/** Throws at the first difference. */
export function checkReplay(loaded: LoadedModule, seed: number, messages: number): ReplayRun {
  const random = new SeededRandom(seed);
  const steady = new Solo(loaded, { spec: SPEC });
  const shaken = new Solo(loaded, { spec: SPEC });
  let saved: SavedActor = shaken.save();
  let since: { readonly input: Input; readonly expected: string }[] = [];
  let [restores, failures, nowMs] = [0, 0, 1_700_000_000_000];
  for (let i = 0; i < messages; i++) {
    const input = randomInput(random, (nowMs += random.below(1000)));
    const expected = outcome(steady, input);
    if (expected.includes("Error") || expected.includes("Trap")) failures++;
    since.push({ input, expected });
    requireOutcome(shaken, input, expected, i);
    // A module whose memory is not all of its state comes back by replay from its beginning alone.
    if (loaded.replayOnly || !random.chance(0.05)) continue;
    restores++;
    const form = random.chance(0.5) ? "image" : "delta";
    if (random.chance(0.5)) {
      shaken.load(saved, form);
      since.forEach((turn) => requireOutcome(shaken, turn.input, turn.expected, i));
    } else {
      saved = shaken.save();
      since = [];
      shaken.load(saved, form);
    }
    requireSame(steady, shaken, i);
  }
  requireSame(steady, shaken, messages);
  if (loaded.replayOnly) restores += replayWhole(loaded, since, steady);
  return { messages, restores, failures };
}

function replayWhole(
  loaded: LoadedModule,
  turns: readonly { readonly input: Input; readonly expected: string }[],
  steady: Solo,
): number {
  const again = new Solo(loaded, { spec: SPEC });
  turns.forEach(({ input, expected }, i) => requireOutcome(again, input, expected, i));
  requireSame(steady, again, turns.length);
  return 1;
}

function requireOutcome(solo: Solo, input: Input, expected: string, at: number): void {
  const seen = outcome(solo, input);
  if (seen === expected) return;
  throw new Error(`message ${at} gives another outcome:\n${seen}\ninstead of\n${expected}`);
}
