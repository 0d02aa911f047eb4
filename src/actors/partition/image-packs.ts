/**
 * Images of a partition's actors, many to a blob: a blob costs a file and a sync, whatever its size.
 *
 * Owns the packs and what they hold until they are durable.
 * 1. A pack is filled, then stored, then durable, and never changes; no two have the same content.
 * 2. An image is read from memory until its pack is durable, and from the blob after that.
 */
import { BinaryWriter } from "../../base/binary.ts";

const PACK_MAGIC = 0x31505843; // "CXP1"
/** A pack this large is stored without waiting for more. */
export const PACK_BYTES_MAX = 4 * 1024 * 1024;
/** For the image that passes the bound. */
const LAST_IMAGE_BYTES = 256 * 1024;

export interface Pack {
  /** Rises; those of earlier processes are numbered first. */
  readonly number: number;
  readonly length: number;
  /** Hash of the blob, undefined until it is durable. */
  readonly sha256: string | undefined;
}

export interface ImageRef {
  readonly pack: Pack;
  readonly offset: number;
  readonly length: number;
}

/** Not durable yet. */
class FillingPack implements Pack {
  readonly number: number;
  readonly sha256 = undefined;
  /** Shared memory: images are read here while the storage thread writes them. Pages not used cost nothing. */
  readonly writer = new BinaryWriter(PACK_BYTES_MAX + LAST_IMAGE_BYTES, sharedBytes);

  constructor(number: number) {
    this.number = number;
  }

  get length(): number {
    return this.writer.length;
  }
}

export interface PackIdentity {
  readonly partition: number;
  readonly incarnation: number;
  readonly epoch: number;
}

export interface SealedPack {
  readonly content: Buffer;
  /** To be called when the content is durable; returns the pack in its new form. */
  readonly stored: (sha256: string) => Pack;
}

export class ImagePacks {
  /** By number, durable or not. */
  private readonly packs = new Map<number, Pack>();
  private filling: FillingPack | undefined;
  private lastNumber = 0;

  /** A durable pack of an earlier process. */
  known(sha256: string, length: number): Pack {
    const pack: Pack = { number: ++this.lastNumber, length, sha256 };
    this.packs.set(pack.number, pack);
    return pack;
  }

  /** Bytes that wait to be stored. */
  get fillingBytes(): number {
    return this.filling?.length ?? 0;
  }

  /** Number of the newest pack. */
  get newest(): number {
    return this.lastNumber;
  }

  /** Whether all packs up to this number are durable. */
  isDurable(upTo: number): boolean {
    for (const { number, sha256 } of this.packs.values()) {
      if (number <= upTo && sha256 === undefined) return false;
    }
    return true;
  }

  add(
    write: (writer: BinaryWriter) => void,
    { partition, incarnation, epoch }: PackIdentity,
  ): ImageRef {
    this.filling ??= this.start([partition, incarnation, epoch]);
    const pack = this.filling;
    const offset = pack.length;
    write(pack.writer);
    return { pack, offset, length: pack.length - offset };
  }

  private start(identity: readonly number[]): FillingPack {
    const pack = new FillingPack(++this.lastNumber);
    for (const part of [PACK_MAGIC, ...identity, pack.number]) pack.writer.u32(part);
    this.packs.set(pack.number, pack);
    return pack;
  }

  /** Ends the pack that fills. */
  seal(): SealedPack | undefined {
    const pack = this.filling;
    if (pack === undefined) return undefined;
    this.filling = undefined;
    const stored = (sha256: string): Pack => {
      const durable: Pack = { number: pack.number, length: pack.length, sha256 };
      this.packs.set(pack.number, durable);
      return durable;
    };
    return { content: pack.writer.view(0, pack.length), stored };
  }

  /** The image while its pack is not durable. */
  inMemory({ pack, offset, length }: ImageRef): Buffer | undefined {
    return pack instanceof FillingPack ? pack.writer.view(offset, offset + length) : undefined;
  }

  /** Durable packs but those in `used`. */
  unused(used: ReadonlyMap<Pack, unknown>): Pack[] {
    return [...this.packs.values()].filter((p) => p.sha256 !== undefined && !used.has(p));
  }

  drop(pack: Pack): void {
    this.packs.delete(pack.number);
  }
}

function sharedBytes(bytes: number): Buffer {
  return Buffer.from(new SharedArrayBuffer(bytes));
}
