export {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
} from "./embedded/open-embedded-storage.ts";
export type { AppendOutcome, FrameRange, Log, LogRecord, Storage } from "./port.ts";
