import { openSmall, temporaryDirectory } from "../../storage/support.ts";
import { storageContract } from "./storage-contract.ts";

storageContract("embedded", async () => {
  const directory = await temporaryDirectory();
  let storage = await openSmall(directory);
  return {
    storage,
    reopen: async () => {
      await storage.close();
      storage = await openSmall(directory);
      return storage;
    },
  };
});
