/**
 * The whole terminal for a view that is drawn again and again.
 *
 * Owns the terminal between `open` and `close`.
 * 1. However the program ends, the terminal is left as it was found.
 * 2. Keys come one by one; Ctrl-C is one of them.
 */
import { emitKeypressEvents } from "node:readline";
import { styled } from "./style.ts";

/** A screen of its own, no cursor, and no wrapping: what is too wide is cut. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

export class Screen {
  /** Lines there is room for above the footer. */
  get linesMax(): number {
    return process.stdout.rows - 1;
  }

  open(onKey: (key: string) => void): void {
    process.stdout.write(ENTER);
    process.once("exit", () => process.stdout.write(LEAVE));
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => onKey("q"));
    }
    emitKeypressEvents(process.stdin);
    process.stdin.setRawMode(true);
    process.stdin.on("keypress", (_: unknown, key: { name?: string; ctrl: boolean }) =>
      onKey(key.ctrl && key.name === "c" ? "q" : (key.name ?? "")),
    );
  }

  draw(lines: readonly string[], footer: string): void {
    const drawn = [...lines, styled("dim", footer)].map((line) => `${line}${CLEAR_LINE}`);
    process.stdout.write(`${HOME}${drawn.join("\r\n")}${CLEAR_BELOW}`);
  }
}
