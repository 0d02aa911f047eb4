import type { EmbeddedStorageOptions } from "../../../src/storage/index.ts";
import { openSmall, SMALL_SEGMENT_BYTES, temporaryDirectory } from "../../storage/support.ts";
import { storageContract, type StorageUnderTest } from "./storage-contract.ts";

async function open(options: Partial<EmbeddedStorageOptions> = {}): Promise<StorageUnderTest> {
  const directory = await temporaryDirectory();
  let storage = await openSmall(directory, options);
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = await openSmall(directory, options);
      return storage;
    },
  };
}

storageContract("embedded", open, {
  small: {
    open: () => open({ sizeBytesMax: 6 * SMALL_SEGMENT_BYTES }),
    frameBytes: 4_000,
    checkpointBytes: 200,
    begunBytes: 200,
    restBytes: SMALL_SEGMENT_BYTES / 16,
    trimmedShareMax: 0.3,
  },
});
