export {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
} from "./embedded/open-embedded-storage.ts";
export { LineFiles } from "./line-files.ts";
export { copyStorage, type CopyReport } from "./copy-storage.ts";
export { NODE_RECORD } from "./port.ts";
export type { AppendOutcome, Blobs, FrameRange, Log, LogRecord, Storage } from "./port.ts";
