/**
 * Where every frame is. Owns, per partition, the dense run of frames first..last and, per segment,
 * how much of it is still wanted.
 *
 * 1. first..last has no hole; `last` never goes back and is never dropped.
 * 2. A segment whose count of live frames is 0 holds nothing anybody may ask for.
 * 3. 16 bytes per frame: millions of frames are no objects.
 */
import { invariant } from "../../base/assert.ts";

export interface FramePlace {
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

export interface FrameKey {
  readonly partition: number;
  readonly sequence: number;
}

export interface SegmentLive {
  frames: number;
  bytes: number;
}

const STRIDE = 4;
const SLOTS_INITIAL = 64;

export class LogIndex {
  readonly #runs = new Map<number, PlaceRun>();
  /** First numbers of partitions without a frame, where that isn't 1. */
  readonly #begins = new Map<number, number>();
  readonly #live = new Map<number, SegmentLive>();
  /** Copies met while rebuilding whose originals are gone; placed by `finishRebuild`. */
  readonly #strays = new Map<number, Map<number, FramePlace>>();

  first(partition: number): number {
    return this.#runs.get(partition)?.first ?? 1;
  }

  last(partition: number): number {
    return this.#runs.get(partition)?.last ?? (this.#begins.get(partition) ?? 1) - 1;
  }

  beginAt(partition: number, sequence: number): void {
    invariant(!this.#runs.has(partition), "a partition begins once");
    this.#begins.set(partition, sequence);
  }

  live(segment: number): Readonly<SegmentLive> {
    return this.#live.get(segment) ?? { frames: 0, bytes: 0 };
  }

  has(partition: number, sequence: number): boolean {
    const run = this.#runs.get(partition);
    return run !== undefined && sequence >= run.first && sequence <= run.last;
  }

  place(partition: number, sequence: number): FramePlace | undefined {
    return this.has(partition, sequence) ? this.#runs.get(partition)?.get(sequence) : undefined;
  }

  /** The next frame of a partition. False when it does not follow the one before it. */
  append(partition: number, sequence: number, place: FramePlace): boolean {
    const run = this.#runs.get(partition);
    if (run === undefined) this.#runs.set(partition, new PlaceRun(sequence, place));
    else if (sequence === run.last + 1) run.push(place);
    else return false;
    this.#count(place, 1);
    return true;
  }

  /** A frame was written again elsewhere. */
  move(partition: number, sequence: number, place: FramePlace): void {
    const run = this.#runs.get(partition);
    invariant(run !== undefined && this.has(partition, sequence), "only known frames move");
    this.#count(run.get(sequence), -1);
    run.set(sequence, place);
    run.movedBelow = Math.max(run.movedBelow, sequence + 1);
    this.#count(place, 1);
  }

  /** While rebuilding: a copy of a frame whose original may be gone. */
  rebuildMove(partition: number, sequence: number, place: FramePlace): void {
    if (this.has(partition, sequence)) {
      this.move(partition, sequence, place);
      return;
    }
    const strays = this.#strays.get(partition) ?? new Map<number, FramePlace>();
    strays.set(sequence, place);
    this.#strays.set(partition, strays);
  }

  /** Puts copies before the frames they precede. What is not connected to the newest was trimmed. */
  finishRebuild(): void {
    for (const [partition, strays] of this.#strays) {
      const newest = Math.max(...strays.keys());
      let run = this.#runs.get(partition);
      if (run === undefined) {
        run = new PlaceRun(newest, placeOf(strays, newest));
        this.#runs.set(partition, run);
        this.#count(placeOf(strays, newest), 1);
      }
      run.movedBelow = Math.max(run.movedBelow, newest + 1);
      let lowest = run.first;
      while (strays.has(lowest - 1)) lowest -= 1;
      const before: FramePlace[] = [];
      for (let sequence = lowest; sequence < run.first; sequence++) {
        before.push(placeOf(strays, sequence));
      }
      run.prepend(before);
      for (const place of before) this.#count(place, 1);
    }
    this.#strays.clear();
  }

  /** Forgets frames below `sequence`; the newest stays. */
  dropBelow(partition: number, sequence: number): void {
    const run = this.#runs.get(partition);
    if (run === undefined) return;
    const keepFrom = Math.min(sequence, run.last);
    for (let drop = run.first; drop < keepFrom; drop++) this.#count(run.get(drop), -1);
    run.first = Math.max(run.first, keepFrom);
  }

  forgetSegment(segment: number): void {
    invariant(this.live(segment).frames === 0, "only a segment without live frames is forgotten");
    this.#live.delete(segment);
  }

  /** The live frames of the oldest segment. */
  *framesIn(segment: number): Iterable<FrameKey> {
    for (const [partition, run] of this.#runs) {
      for (let sequence = run.first; sequence <= run.last; sequence++) {
        const inside = run.get(sequence).segment === segment;
        if (inside) yield { partition, sequence };
        // Frames lie in the log in order, except those that were moved.
        else if (sequence >= run.movedBelow) break;
      }
    }
  }

  #count(place: FramePlace, by: 1 | -1): void {
    let live = this.#live.get(place.segment);
    if (live === undefined) this.#live.set(place.segment, (live = { frames: 0, bytes: 0 }));
    live.frames += by;
    live.bytes += by * place.length;
  }
}

function placeOf(places: ReadonlyMap<number, FramePlace>, sequence: number): FramePlace {
  const place = places.get(sequence);
  invariant(place !== undefined, "the place of a listed sequence is known");
  return place;
}

/** Places of consecutive frames, 4 numbers each, in one growing array. */
class PlaceRun {
  first: number;
  last: number;
  /** Frames from here on lie where they were first written. */
  movedBelow = 0;
  /** Sequence of slot 0. */
  #base: number;
  #slots: Uint32Array;

  constructor(sequence: number, place: FramePlace) {
    this.first = sequence;
    this.last = sequence;
    this.#base = sequence;
    this.#slots = new Uint32Array(SLOTS_INITIAL * STRIDE);
    this.set(sequence, place);
  }

  get(sequence: number): FramePlace {
    const at = (sequence - this.#base) * STRIDE;
    return {
      segment: this.#slots[at] as number,
      offset: this.#slots[at + 1] as number,
      length: this.#slots[at + 2] as number,
      crc: this.#slots[at + 3] as number,
    };
  }

  set(sequence: number, place: FramePlace): void {
    const at = (sequence - this.#base) * STRIDE;
    this.#slots[at] = place.segment;
    this.#slots[at + 1] = place.offset;
    this.#slots[at + 2] = place.length;
    this.#slots[at + 3] = place.crc;
  }

  push(place: FramePlace): void {
    if ((this.last + 1 - this.#base) * STRIDE === this.#slots.length) this.#makeRoom();
    this.last += 1;
    this.set(this.last, place);
  }

  prepend(places: readonly FramePlace[]): void {
    if (places.length === 0) return;
    const kept = this.#slots.subarray((this.first - this.#base) * STRIDE);
    const slots = new Uint32Array(places.length * STRIDE + kept.length);
    slots.set(kept, places.length * STRIDE);
    this.#slots = slots;
    this.first -= places.length;
    this.#base = this.first;
    places.forEach((place, i) => this.set(this.#base + i, place));
  }

  /** Reuses the room of dropped frames when they are at least half, else doubles. */
  #makeRoom(): void {
    const dropped = (this.first - this.#base) * STRIDE;
    const kept = this.#slots.subarray(dropped);
    const roomy = dropped * 2 >= this.#slots.length;
    const slots = new Uint32Array(roomy ? this.#slots.length : this.#slots.length * 2);
    slots.set(kept);
    this.#slots = slots;
    this.#base = this.first;
  }
}
