export {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
} from "./embedded/open-embedded-storage.ts";
export type {
  AppendOutcome,
  Blobs,
  FrameRange,
  Log,
  LogRecord,
  LogUsage,
  Records,
  RecordWrite,
  Storage,
  StorageOpening,
  StoredRecord,
} from "./port.ts";
