/** What the loop and its log thread share. */
export const FRAME_BYTES = 256 * 1024;
/** One fills while two are on their way to the disk. */
export const FRAMES = 3;
/** The file is used again from its start. */
export const LOG_BYTES = 64 * 1024 * 1024;

/** Words of `control`: frames handed over, frames durable, 1 when there will be no more. */
export const FILLED = 0;
export const COMMITTED = 1;
export const STOP = 2;

export interface LogThreadStart {
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly frames: readonly Uint8Array[];
  readonly lengths: Int32Array<SharedArrayBuffer>;
  readonly path: string;
}
