/**
 * Takes images of a partition's actors, sees them stored, and reads them back.
 *
 * Owns the images whose pack is not durable yet.
 * 1. An image has just the turns whose entries are written: memory that is ahead of them is not taken.
 * 2. An actor's durable image gives way when the new one's pack is durable; until then its turns stay indexed.
 */
import type { BinaryWriter } from "../../base/binary.ts";
import type { TurnExecutor } from "../turn-batch.ts";
import type { Actor, ActorImage } from "./actor.ts";
import { writeActorImage } from "./actor-image.ts";
import { PACK_BYTES_MAX } from "./image-packs.ts";
import type { ImagePacks, ImageRef, PackIdentity } from "./image-packs.ts";

export interface BlobPart {
  readonly sha256: string;
  readonly offset: number;
  readonly length: number;
}

export interface BlobPorts {
  /** Makes a blob durable. Its bytes change no more. */
  store(content: Buffer, stored: (sha256: string) => void): void;
  /** Undefined when the blob is absent or can't be read. */
  fetch(part: BlobPart, done: (bytes: Buffer | undefined) => void): void;
}

interface Taken {
  readonly actor: Actor;
  readonly image: ActorImage;
}

export class ActorImages {
  private readonly packs: ImagePacks;
  private readonly identity: PackIdentity;
  private readonly executor: TurnExecutor;
  private readonly ports: BlobPorts;
  /** Those in the pack that fills. */
  private taken: Taken[] = [];

  constructor(packs: ImagePacks, identity: PackIdentity, executor: TurnExecutor, ports: BlobPorts) {
    this.packs = packs;
    this.identity = identity;
    this.executor = executor;
    this.ports = ports;
  }

  /** Takes an image if the actor had turns since its last one and its memory allows it. */
  take(actor: Actor): void {
    if (!actor.isDirty || actor.unwritten > 0 || actor.phase.kind === "recovering") return;
    const memory = this.executor.image(actor);
    if (memory === undefined) return;
    this.add(actor, actor.turns.newest, (writer) => {
      writeActorImage(writer, actor, memory);
    });
  }

  private add(actor: Actor, newestTurn: number, write: (writer: BinaryWriter) => void): void {
    const image = { ref: this.packs.add(write, this.identity), newestTurn };
    actor.newImage = image;
    this.taken.push({ actor, image });
    if (this.packs.fillingBytes >= PACK_BYTES_MAX) this.flush();
  }

  /** Stores what has been taken. */
  flush(): void {
    const sealed = this.packs.seal();
    if (sealed === undefined) return;
    const { taken } = this;
    this.taken = [];
    this.ports.store(sealed.content, (sha256) => {
      const pack = sealed.stored(sha256);
      for (const { actor, image } of taken) {
        if (actor.newImage !== image) continue;
        actor.newImage = undefined;
        actor.image = { ...image, ref: { ...image.ref, pack } };
        actor.turns.rebase(image.newestTurn);
      }
    });
  }

  /** Copies the actor's durable image into the pack that fills, so that its old pack can go. */
  copy(actor: Actor, done: () => void): void {
    const { image } = actor;
    if (image === undefined) {
      done();
      return;
    }
    this.read(image.ref, (bytes) => {
      // Damaged ones stay where they are: whoever needs the actor finds out.
      const isStill = actor.image === image && actor.newImage === undefined;
      if (bytes !== undefined && isStill) {
        this.add(actor, image.newestTurn, (writer) => {
          writer.raw(bytes);
        });
      }
      done();
    });
  }

  read(ref: ImageRef, done: (bytes: Buffer | undefined) => void): void {
    const bytes = this.packs.inMemory(ref);
    const { pack, offset, length } = ref;
    if (bytes !== undefined) done(bytes);
    else this.ports.fetch({ sha256: pack.sha256!, offset, length }, done);
  }
}
