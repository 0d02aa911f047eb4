/**
 * How far a partition is with the stream that clients send by. The stream numbers its messages, those of all
 * partitions together, and hands over what a partition asks for again: the cursor makes that harmless.
 *
 * Part of the partition's state: every change follows from a frame entry.
 * 1. A message up to `upTo` is done, unless it waits; one above is not.
 * 2. Messages are met in the order of their numbers; one that can't be taken then waits, and later ones may pass.
 */
import { invariant } from "../../base/assert.ts";

export class StreamCursor {
  /** Tells a stream from another one of the same name; 0: none was read yet. */
  incarnation = 0;
  upTo = 0;
  /**
   * By when the stream had stored all that was met, in seconds since 1970; 0: not known. What it stored later was not
   * met. Another leader's clock may be behind: it is the latest second, not that of the newest message.
   */
  upToS = 0;
  /** In the order of their numbers. */
  readonly waiting = new Set<number>();
  /** Rises when the place changes other than by messages. */
  begins = 0;

  isDone(n: number): boolean {
    return n <= this.upTo && !this.waiting.has(n);
  }

  /** Everything up to this number is done. */
  get floor(): number {
    const [oldest] = this.waiting;
    return oldest === undefined ? this.upTo : oldest - 1;
  }

  /** The stream, and the last message of it that was met: one that lost its end numbers what comes next anew. */
  begin(incarnation: number, last: number): void {
    const upTo = incarnation === this.incarnation ? Math.min(this.upTo, last) : 0;
    if (incarnation !== this.incarnation) this.upToS = 0;
    this.incarnation = incarnation;
    this.upTo = upTo;
    for (const n of this.waiting) if (n > upTo) this.waiting.delete(n);
    this.begins++;
  }

  /** Nothing is left to do for it. */
  done(n: number, storedS: number): void {
    if (n > this.upTo) this.meet(n, storedS);
    else this.waiting.delete(n);
  }

  wait(n: number, storedS: number): void {
    invariant(n > this.upTo, "a message of the stream is met once");
    this.meet(n, storedS);
    this.waiting.add(n);
  }

  private meet(n: number, storedS: number): void {
    this.upTo = n;
    this.upToS = storedS;
  }
}
