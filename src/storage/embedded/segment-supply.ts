/**
 * Makes the next segment while the current one fills. Owns the bytes the log takes on disk, the
 * segments made ready and the trimmed ones kept for reuse.
 *
 * 1. `bytes` counts whole files, from before they are filled until after they are emptied.
 * 2. A segment is given out only when the name after it is durable.
 * 3. A trimmed file is filled and headed under its old number, which recovery ignores, and gets its
 *    new name in one step.
 * 4. The last segment the limit allows is for copies, and for frames that open an epoch or name a checkpoint:
 *    those give room back when the log is full.
 * 5. Want of space is a state that passes (`take` gives nothing); any other failure is for good.
 */
import type { AppendRoom } from "../port.ts";
import { type FileSystem, isWantOfSpace } from "./file-system.ts";
import type { SectorFlags } from "./direct-io.ts";
import {
  closeSegmentFile,
  createSegmentName,
  openSegmentFile,
  prepareSegment,
  type Segment,
  segmentName,
} from "./segment-file.ts";
import type { WriteGate } from "../write-gate.ts";

/** After the disk was full, how long until it is asked again without a reason to hope. */
const SPACE_RETRY_MS = 1000;
/** The part of the log's limit that trimmed files may keep. */
const SPARE_FRACTION_MAX = 1 / 4;

export interface SegmentSupplyOptions {
  readonly files: FileSystem;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly bytesMax: number;
  readonly flags: SectorFlags;
  readonly gate: WriteGate;
}

export class SegmentSupply {
  readonly #options: SegmentSupplyOptions;
  /** In order; more than one only after a crash. */
  readonly #ready: Segment[];
  readonly #spares: Segment[] = [];
  /** The newest name; its file is empty. */
  #nextNumber: number;
  #bytes: number;
  #preparing: Promise<void> | undefined;
  #spaceRetryAtMs = 0;
  #stopping = false;

  constructor(
    options: SegmentSupplyOptions,
    found: { readonly ready: readonly Segment[]; readonly nextNumber: number; bytes: number },
  ) {
    this.#options = options;
    this.#ready = [...found.ready];
    this.#nextNumber = found.nextNumber;
    this.#bytes = found.bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get segmentBytes(): number {
    return this.#options.segmentBytes;
  }

  /** In segments that `take` will give for ordinary frames, if nothing is trimmed. */
  get ordinaryBytesLeft(): number {
    const { segmentBytes, bytesMax } = this.#options;
    const unmade = Math.max(0, Math.floor((bytesMax - this.#bytes) / segmentBytes));
    const toPrepare = this.#spares.length + unmade;
    const prepared = this.#ready.length + (this.#preparing === undefined ? 0 : 1);
    // One always remains.
    return toPrepare === 0 ? 0 : (prepared + toPrepare - 1) * segmentBytes;
  }

  /** Whether another segment follows, or will when it has been prepared: then the newest is not the last. */
  get hasNext(): boolean {
    return this.#ready.length > 0 || this.#preparing !== undefined || this.#mayPrepare();
  }

  /** Begins to prepare the next segment, if there is room and none is ready. */
  prepare(): void {
    if (this.#ready.length > 0 || this.#preparing !== undefined || this.#stopped()) return;
    if (!this.#mayPrepare() || performance.now() < this.#spaceRetryAtMs) return;
    this.#preparing = this.#prepareNext().finally(() => {
      this.#preparing = undefined;
    });
  }

  /** Undefined when there is no room for another segment. */
  async take(room: AppendRoom): Promise<Segment | undefined> {
    this.prepare();
    await this.#preparing;
    if (room === "ordinary" && !this.#mayPrepare()) return undefined;
    const segment = this.#ready.shift();
    if (segment !== undefined) this.prepare();
    return segment;
  }

  /** Takes back a segment nobody reads or names any more. */
  async recycle(segment: Segment): Promise<void> {
    const { segmentBytes, bytesMax } = this.#options;
    const sparesMax = Math.ceil((bytesMax / segmentBytes) * SPARE_FRACTION_MAX);
    if (segment.bytes === segmentBytes && this.#spares.length < sparesMax) {
      this.#spares.push(segment);
    } else {
      await this.#giveBack(segment);
    }
    this.#spaceRetryAtMs = 0;
    this.prepare();
  }

  async close(): Promise<void> {
    this.#stopping = true;
    await this.#preparing;
    for (const segment of [...this.#ready, ...this.#spares]) {
      await closeSegmentFile(this.#options.files, segment);
    }
  }

  #mayPrepare(): boolean {
    const { segmentBytes, bytesMax } = this.#options;
    return this.#spares.length > 0 || this.#bytes + segmentBytes <= bytesMax;
  }

  #stopped(): boolean {
    return this.#stopping || this.#options.gate.failed;
  }

  async #prepareNext(): Promise<void> {
    const { files, directory, segmentBytes, flags, gate } = this.#options;
    const number = this.#nextNumber;
    const path = `${directory}/${segmentName(number)}`;
    const spare = this.#spares.pop();
    try {
      if (spare === undefined) this.#bytes += segmentBytes;
      const { fd, writeFd } = spare ?? (await openSegmentFile(files, path, flags));
      const file = { number, fd, writeFd, path: spare?.path ?? path, bytes: segmentBytes };
      const segment = await this.#make(file, path);
      if (segment === undefined) {
        await this.#giveBack(file);
        return;
      }
      await files.syncDirectory(directory);
      this.#nextNumber = number + 1;
      this.#ready.push(segment);
    } catch (error) {
      gate.fail(error);
    }
  }

  /** Fills a file, puts it in place, and names the next; undefined for want of space and on a stop. */
  async #make(
    file: Omit<Segment, "nonce" | "readers" | "retired">,
    path: string,
  ): Promise<Segment | undefined> {
    const { files, directory } = this.#options;
    try {
      const segment = await prepareSegment(files, file, () => this.#stopped());
      if (segment === undefined) return undefined;
      if (file.path !== path) {
        await files.rename(file.path, path);
        // A name with one after it must be a whole segment, whatever a power loss leaves.
        await files.syncDirectory(directory);
      }
      await createSegmentName(files, directory, file.number + 1);
      return { ...segment, path };
    } catch (error) {
      if (!isWantOfSpace(error)) throw error;
      this.#spaceRetryAtMs = performance.now() + SPACE_RETRY_MS;
      return undefined;
    }
  }

  /** Frees the bytes of a file. Its empty rest is the next name, or removed at the next start. */
  async #giveBack(file: Pick<Segment, "fd" | "writeFd" | "bytes">): Promise<void> {
    try {
      await this.#options.files.truncate(file.fd, 0);
      await closeSegmentFile(this.#options.files, file);
      this.#bytes -= file.bytes;
    } catch (error) {
      this.#options.gate.fail(error);
    }
  }
}
