/** What commands print: tables for people, JSON and YAML for programs. */
import { styleText } from "node:util";
import { stringify } from "yaml";
import { enumName, plain, textOf } from "./plain.ts";

export const OUTPUTS = ["table", "wide", "json", "yaml"] as const;
export type Output = (typeof OUTPUTS)[number];

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string | number | boolean;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
}

export class Printer {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  get isForPrograms(): boolean {
    return this.#output === "json" || this.#output === "yaml";
  }

  get isWide(): boolean {
    return this.#output === "wide";
  }

  rows<T>(rows: readonly T[], columns: readonly Column<T>[]): void {
    if (this.isForPrograms) {
      this.document(rows);
      return;
    }
    const shown = columns.filter((column) => this.isWide || column.wide !== true);
    const cells = rows.map((row) => shown.map((column) => cell(column.value(row))));
    write(`${alignRows([shown.map((column) => column.title), ...cells]).join("\n")}\n`);
  }

  /** One thing: a line per fact. */
  facts<T>(thing: T, columns: readonly Column<T>[]): void {
    if (this.isForPrograms) {
      this.document(thing);
      return;
    }
    const width = Math.max(...columns.map((column) => column.title.length));
    for (const { title, value } of columns) {
      const label = bold(`${title.toLowerCase()}:`.padEnd(width + 2));
      write(`${label}${cell(value(thing))}\n`);
    }
  }

  /** A sentence for people, the whole answer for programs. */
  sentence(text: string, answer: unknown): void {
    if (this.isForPrograms) this.document(answer);
    else write(`${printable(text)}\n`);
  }

  /** Bytes as they are, for people and pipes; the whole answer for programs. */
  content(bytes: Uint8Array, answer: unknown): void {
    if (this.isForPrograms) {
      this.document(answer);
      return;
    }
    process.stdout.write(bytes);
    if (process.stdout.isTTY && textOf(bytes)?.endsWith("\n") === false) write("\n");
  }

  /** One of an endless row of answers: JSON keeps to one line each. */
  event(text: string, answer: unknown): void {
    if (this.#output === "json") write(`${JSON.stringify(plain(answer))}\n`);
    else if (this.#output === "yaml") write(`---\n${stringify(plain(answer))}`);
    else write(`${printable(text)}\n`);
  }

  lines(lines: readonly string[]): void {
    for (const line of lines) write(`${printable(line)}\n`);
  }

  document(answer: unknown): void {
    if (this.#output === "yaml") write(stringify(plain(answer)));
    else write(`${JSON.stringify(plain(answer), undefined, 2)}\n`);
  }
}

/** For the person at the terminal; never mixed into results. */
export function note(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

/** Reads `2026-11-22 10:50:00Z`; empty when there is no time. */
export function timeText(ms: number): string {
  return ms === 0 ? "" : `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}Z`;
}

/** To the millisecond. */
export function exactTimeText(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ");
}

export function pairs(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(" ");
}

function write(text: string): void {
  process.stdout.write(text);
}

function bold(text: string): string {
  // Looks at NO_COLOR and whether the stream is a terminal.
  return styleText("bold", text, { stream: process.stdout });
}

function alignRows(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row, index) => {
    const line = row
      .map((text, i) => text.padEnd(widths[i]!))
      .join("  ")
      .trimEnd();
    return index === 0 ? bold(line) : line;
  });
}

function cell(value: string | number | boolean): string {
  const text = typeof value === "string" ? enumName(value) : String(value);
  return text === "" ? "-" : printable(text).replaceAll("\n", "\\n");
}

/** What agents and clients wrote must not steer the terminal. */
function printable(text: string): string {
  return text.replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
