/** What commands print: tables for people, JSON and YAML for programs. */
import { stringify } from "yaml";
import { type Output, valueAt } from "./output-format.ts";
import { enumName, plain, textOf } from "./plain.ts";
import { bold, printable, statusStyled } from "./style.ts";

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string | number | boolean;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
  /** What other commands call the row by: with `-o name` the only thing printed. */
  readonly isName?: boolean;
  readonly isStatus?: boolean;
}

export class Printer {
  readonly #output: Output;
  readonly #write: (chunk: string | Uint8Array) => void;

  constructor(output: Output, write: (chunk: string | Uint8Array) => void = writeOut) {
    this.#output = output;
    this.#write = write;
  }

  get isForPrograms(): boolean {
    return this.#output.kind === "json" || this.#output.kind === "yaml";
  }

  get isWide(): boolean {
    return this.#output.kind === "wide";
  }

  rows<T>(rows: readonly T[], columns: readonly Column<T>[]): void {
    if (this.isForPrograms) this.document(rows);
    else if (!this.#chosen(rows, columns)) this.#table(rows, columns);
  }

  /** One thing: a line per fact. */
  facts<T>(thing: T, columns: readonly Column<T>[]): void {
    if (this.isForPrograms) {
      this.document(thing);
      return;
    }
    if (this.#chosen([thing], columns)) return;
    const width = Math.max(...columns.map((column) => column.title.length));
    for (const column of columns) {
      const label = bold(`${column.title.toLowerCase()}:`.padEnd(width + 2));
      const text = cell(column.value(thing));
      this.#line(`${label}${column.isStatus === true ? statusStyled(text) : text}`);
    }
  }

  /** A sentence for people, the whole answer for programs. */
  sentence(text: string, answer: unknown): void {
    if (this.isForPrograms) this.document(answer);
    else this.#line(printable(text));
  }

  /** Bytes as they are, for people and pipes; the whole answer for programs. */
  content(bytes: Uint8Array, answer: unknown): void {
    if (this.isForPrograms) {
      this.document(answer);
      return;
    }
    this.#write(bytes);
    if (process.stdout.isTTY && textOf(bytes)?.endsWith("\n") === false) this.#write("\n");
  }

  /** One of an endless row of answers: JSON keeps to one line each. */
  event(text: string, answer: unknown): void {
    const output = this.#output;
    if (output.kind === "json") this.#line(JSON.stringify(plain(answer)));
    else if (output.kind === "yaml") this.#write(`---\n${stringify(plain(answer))}`);
    else if (output.kind === "custom-columns") {
      const row = plain(answer);
      this.#line(output.columns.map(({ path }) => cell(valueAt(row, path))).join("  "));
    } else this.#line(printable(text));
  }

  lines(lines: readonly string[]): void {
    for (const line of lines) this.#line(printable(line));
  }

  /** Lines that carry styles; what others wrote was made printable in them. */
  drawn(lines: readonly string[]): void {
    for (const line of lines) this.#line(line);
  }

  document(answer: unknown): void {
    if (this.#output.kind === "yaml") this.#write(stringify(plain(answer)));
    else this.#line(JSON.stringify(plain(answer), undefined, 2));
  }

  /** Prints what `-o` chose of the rows; false when it chose nothing. */
  #chosen<T>(rows: readonly T[], columns: readonly Column<T>[]): boolean {
    const output = this.#output;
    if (output.kind === "name") {
      const names = columns.filter(({ isName }) => isName === true);
      for (const row of rows) {
        this.#line(names.map(({ value }) => printable(String(value(row)))).join("/"));
      }
      return true;
    }
    if (output.kind !== "custom-columns") return false;
    const answers = rows.map(plain);
    this.#table(
      answers,
      output.columns.map(({ title, path }) => ({ title, value: (row) => valueAt(row, path) })),
    );
    return true;
  }

  #table<T>(rows: readonly T[], columns: readonly Column<T>[]): void {
    const shown = columns.filter((column) => this.isWide || column.wide !== true);
    for (const line of tableLines(rows, shown)) this.#line(line);
  }

  #line(text: string): void {
    this.#write(`${text}\n`);
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

export function tableLines<T>(rows: readonly T[], columns: readonly Column<T>[]): string[] {
  const cells = rows.map((row) => columns.map((column) => cell(column.value(row))));
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...cells.map((row) => row[i]!.length)),
  );
  const line = (texts: readonly string[]): string[] =>
    texts.map((text, i) => (i === columns.length - 1 ? text : text.padEnd(widths[i]!)));
  const head = bold(line(columns.map(({ title }) => title)).join("  "));
  const body = cells.map((row) =>
    line(row)
      .map((text, i) => (columns[i]!.isStatus === true ? statusStyled(text) : text))
      .join("  "),
  );
  return [head, ...body];
}

function writeOut(chunk: string | Uint8Array): void {
  process.stdout.write(chunk);
}

function cell(value: string | number | boolean): string {
  const text = typeof value === "string" ? enumName(value) : String(value);
  return text === "" ? "-" : printable(text).replaceAll("\n", "\\n");
}
