export {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
} from "./embedded/open-embedded-storage.ts";
export { LineFiles } from "./line-files.ts";
export type {
  AppendOutcome,
  Blobs,
  Durability,
  FrameRange,
  HeldBack,
  Log,
  LogRecord,
  Storage,
} from "./port.ts";
