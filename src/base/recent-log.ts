/** The newest lines of the log, kept in memory for whoever asks what happened lately. */
import { Queue } from "./queue.ts";

const RECENT_LOG_BYTES_MAX = 1024 * 1024;

/** What pino writes to. */
export interface LogTarget {
  write(line: string): void;
  flush?(done?: (error?: Error) => void): void;
}

/**
 * Owns the lines, as JSON.
 * 1. They never exceed RECENT_LOG_BYTES_MAX; the oldest go first.
 */
export class RecentLog {
  readonly #lines = new Queue<string>();
  #bytes = 0;

  get lines(): string[] {
    return [...this.#lines];
  }

  /** A target that keeps what it passes on. */
  before(target: LogTarget): LogTarget {
    return {
      write: (line) => {
        this.#keep(line);
        target.write(line);
      },
      flush: (done) => target.flush?.(done),
    };
  }

  #keep(line: string): void {
    this.#lines.push(line.trimEnd());
    this.#bytes += line.length;
    while (this.#bytes > RECENT_LOG_BYTES_MAX) this.#bytes -= this.#lines.shift()!.length + 1;
  }
}
