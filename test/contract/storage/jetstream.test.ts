import { openReopenable, serverForFile, smallLog } from "../../storage/jetstream-support.ts";
import { storageContract } from "./storage-contract.ts";

const { connection } = await serverForFile();

storageContract("jetstream", () => openReopenable(connection), {
  small: smallLog(connection),
  writers: "many",
});
