/**
 * What a node does about its nats-server, in a process of its own that can be killed.
 * Usage: node main.ts DIRECTORY [PORT]. Prints a line of JSON when it runs; ends with its standard input.
 */
import { pino } from "pino";
import { findNatsServer } from "../../../../src/storage/jetstream/find-nats-server.ts";
import { ManagedNatsServer } from "../../../../src/storage/jetstream/managed-server.ts";

const [directory, port = "0"] = process.argv.slice(2);
const server = await ManagedNatsServer.start({
  directory: directory!,
  binary: await findNatsServer(process.env),
  nats: { durability: "durable", port: Number(port) },
  clientPassword: undefined,
  log: pino({ level: "silent" }),
});
process.stdout.write(`${JSON.stringify({ port: server.port, pid: server.pid })}\n`);
process.stdin.once("end", () => void server.stop().then(() => process.exit(0))).resume();
