export { type OpenedStorage, openStorage } from "./open-storage.ts";
export type { StorageAway } from "./storage-away.ts";
export {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
} from "./embedded/open-embedded-storage.ts";
export { LineFiles } from "./line-files.ts";
export type { AppendOutcome, Blobs, FrameRange, Log, LogRecord, Storage } from "./port.ts";
