import { clusterForFile, openReopenable, smallLog } from "../../storage/jetstream-support.ts";
import { storageContract } from "./storage-contract.ts";

const { connection } = await clusterForFile();

storageContract("jetstream, three servers", () => openReopenable(connection, { replicas: 3 }), {
  small: smallLog(connection, { replicas: 3 }),
  writers: "many",
});
