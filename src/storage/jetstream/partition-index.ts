/**
 * Where the frames of one partition lie in its stream.
 *
 * Owns the numbering: streams number the messages of all their partitions together, the port numbers the
 * frames of each.
 * 1. Messages come in the order of the stream, each once.
 * 2. A message that was appended without expectation opens an epoch. Unless that is above all before, it is
 *    void: it takes no number.
 * 3. A message that was appended with an expectation names its number; it must be the next one.
 * 4. The first message that is known names its number, or is the first that there ever was.
 */
import { CaxtonError } from "../../base/errors.ts";

export interface IndexedMessage {
  readonly streamSequence: number;
  readonly epoch: number;
  /** Undefined where the message was appended without expectation. */
  readonly sequence: number | undefined;
  readonly bytes: number;
}

export interface FramePlace {
  readonly streamSequence: number;
  readonly bytes: number;
  /** Bytes of the partition's frames in front of it, those that are gone included. */
  readonly bytesBefore: number;
}

export class PartitionIndex {
  readonly partition: number;
  /** Sequence of `#places[0]`. */
  #first = 1;
  readonly #places: FramePlace[] = [];
  /** Stream sequences of the messages without a number of their own, void ones too. */
  #unnumbered: number[] = [];
  #newestMessage = 0;
  #epoch = 0;
  #bytes = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  /** Sequence of the oldest frame that is kept; one more than `last` when there is none. */
  get first(): number {
    return this.#first;
  }

  get last(): number {
    return this.#first + this.#places.length - 1;
  }

  /** Stream sequence of the newest message, void or not; 0 when there is none. */
  get newestMessage(): number {
    return this.#newestMessage;
  }

  /** The highest epoch. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Of a log whose first frames were left out when it was copied. */
  beginAt(sequence: number): void {
    if (this.#newestMessage === 0) this.#first = sequence;
  }

  place(sequence: number): FramePlace | undefined {
    return sequence < this.#first ? undefined : this.#places[sequence - this.#first];
  }

  /** The number of the frame at this place, undefined when it is void. */
  sequenceAt(streamSequence: number): number | undefined {
    const at = this.#positionFrom(streamSequence);
    return this.#places[at]?.streamSequence === streamSequence ? this.#first + at : undefined;
  }

  add({ streamSequence, epoch, sequence, bytes }: IndexedMessage): void {
    if (streamSequence <= this.#newestMessage) return;
    const opens = sequence === undefined && this.#newestMessage > 0;
    const isVoid = opens ? epoch <= this.#epoch : epoch < this.#epoch;
    if (this.#newestMessage === 0 && sequence !== undefined) this.#first = sequence;
    if (sequence !== undefined && (isVoid || sequence !== this.last + 1)) {
      const what = `frame ${sequence} of epoch ${epoch} follows frame ${this.last} of epoch ${this.#epoch}`;
      const text = `The log of partition ${this.partition} is damaged: ${what}.`;
      throw new CaxtonError("STORAGE_CORRUPT", text);
    }
    this.#newestMessage = streamSequence;
    if (sequence === undefined) this.#unnumbered.push(streamSequence);
    if (isVoid) return;
    this.#epoch = epoch;
    this.#places.push({ streamSequence, bytes, bytesBefore: this.#bytes });
    this.#bytes += bytes;
  }

  /** The messages below this place are no longer in the stream. */
  dropBelow(streamSequence: number): void {
    const gone = this.#positionFrom(streamSequence);
    this.#places.splice(0, gone);
    this.#first += gone;
    this.#unnumbered = this.#unnumbered.filter((message) => message >= streamSequence);
  }

  /**
   * The highest stream sequence, up to the one asked for, below which everything may go: the first message
   * of the partition that stays is one that names its number, or the first there ever was.
   */
  floorUpTo(streamSequence: number): number {
    let floor = streamSequence;
    for (;;) {
      const next = this.#firstMessageFrom(floor);
      if (next === undefined || !this.#unnumbered.includes(next)) return floor;
      const before = this.#messageBefore(next);
      // Nothing before it: it stays the first.
      if (before === undefined) return Math.min(floor, next);
      floor = before;
    }
  }

  /** Bytes of the frames below this place. */
  bytesBelow(streamSequence: number): number {
    return this.bytesFrom(0) - this.bytesFrom(streamSequence);
  }

  /** Bytes of the frames at this place and behind it. */
  bytesFrom(streamSequence: number): number {
    const first = this.#places[this.#positionFrom(streamSequence)];
    return first === undefined ? 0 : this.#bytes - first.bytesBefore;
  }

  #firstMessageFrom(streamSequence: number): number | undefined {
    const frame = this.#places[this.#positionFrom(streamSequence)];
    const unnumbered = this.#unnumbered.find((message) => message >= streamSequence);
    if (frame === undefined || unnumbered === undefined) {
      return frame?.streamSequence ?? unnumbered;
    }
    return Math.min(frame.streamSequence, unnumbered);
  }

  #messageBefore(streamSequence: number): number | undefined {
    const frame = this.#places[this.#positionFrom(streamSequence) - 1];
    const unnumbered = this.#unnumbered.findLast((message) => message < streamSequence);
    if (frame === undefined || unnumbered === undefined) {
      return frame?.streamSequence ?? unnumbered;
    }
    return Math.max(frame.streamSequence, unnumbered);
  }

  /** Of the first frame at or behind the place. */
  #positionFrom(streamSequence: number): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#places[middle]!.streamSequence < streamSequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
