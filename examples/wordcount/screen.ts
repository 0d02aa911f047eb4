/**
 * What a person sees: steps with their times on standard error, one line each, so that standard output
 * holds results alone.
 */
import { styleText } from "node:util";

const WIDTH = 80;
const LABEL_WIDTH = 9;
const REDRAW_MS = 80;
/** Without a terminal a step that takes long says so now and then. */
const REMIND_MS = 5000;

export interface Step {
  /** Where it stands; shown when there is time. */
  update(text: string): void;
  done(text: string): void;
}

export function step(label: string): Step {
  const { stderr } = process;
  const startedAtMs = performance.now();
  let shownAtMs = stderr.isTTY ? 0 : startedAtMs;
  return {
    update(text) {
      const nowMs = performance.now();
      if (nowMs - shownAtMs < (stderr.isTTY ? REDRAW_MS : REMIND_MS)) return;
      shownAtMs = nowMs;
      stderr.write(
        stderr.isTTY ? `\r\x1b[K${line(label, text, "")}` : `${line(label, text, "")}\n`,
      );
    },
    done(text) {
      const took = `${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`;
      stderr.write(`${stderr.isTTY ? "\r\x1b[K" : ""}${line(label, text, took)}\n`);
    },
  };
}

function line(label: string, text: string, took: string): string {
  const room = WIDTH - 2 - LABEL_WIDTH - 8;
  const head = dim(label.padEnd(LABEL_WIDTH));
  const short = text.length > room ? `${text.slice(0, room - 1)}…` : text;
  return took === ""
    ? `  ${head}${short}`
    : `  ${head}${short.padEnd(room)}${dim(took.padStart(8))}`;
}

function dim(text: string): string {
  return styleText("dim", text, { stream: process.stderr });
}

/** Reads `12,345`. */
export function number(value: number): string {
  return value.toLocaleString("en-US");
}

/** `one message`, `12 messages`. */
export function many(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}
