export { type OpenedNats, type OpenedStorage, openStorage } from "./open-storage.ts";
export { StorageAway } from "./storage-away.ts";
export {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
} from "./embedded/open-embedded-storage.ts";
export {
  type JetStreamStorageOptions,
  openJetStreamStorage,
} from "./jetstream/open-jetstream-storage.ts";
export { LineFiles } from "./line-files.ts";
export { copyStorage, partitionsOf } from "./copy-storage.ts";
export { NODE_RECORD } from "./port.ts";
export { patientStorage } from "./patient-storage.ts";
export type {
  AppendOutcome,
  AppendRoom,
  Blobs,
  FrameRange,
  Log,
  LogRecord,
  Storage,
} from "./port.ts";
