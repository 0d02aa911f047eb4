export {
  type EmbeddedStorageOptions,
  openEmbeddedStorage,
} from "./embedded/open-embedded-storage.ts";
export {
  type JetStreamStorageOptions,
  openJetStreamStorage,
} from "./jetstream/open-jetstream-storage.ts";
export { LineFiles } from "./line-files.ts";
export { patientStorage } from "./patient-storage.ts";
export type { AppendOutcome, Blobs, FrameRange, Log, LogRecord, Storage } from "./port.ts";
