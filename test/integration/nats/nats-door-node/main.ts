/** A node with the door in a process of its own, to be killed: `main.ts DIRECTORY PORT`. Ends with its standard input. */
import { startDoorNode } from "../../../support/door-node.ts";

const [directory = "", port = ""] = process.argv.slice(2);
const node = await startDoorNode({
  directory,
  server: { url: `127.0.0.1:${port}` },
  // No message is to blame for the kills.
  sets: ["limits.crashIntentsMax=100"],
});
await node.deploy("sequence");
await node.deploy("probe");
process.stdout.write("ready\n");
process.stdin.resume().once("end", () => {
  void node.stop().then(() => process.exit(0));
});
