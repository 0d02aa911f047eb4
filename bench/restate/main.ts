/**
 * The counting actors as a virtual object of Restate: the same program as bench/agents/counter. Prints its port. For
 * each line on standard input it prints how many messages its handlers have handled.
 * Argument: the folder that Restate's packages are installed in.
 */
import { createServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Visits } from "./protocol.ts";

/** What is used of the package, which is not there when types are checked. */
interface Sdk {
  object(definition: {
    readonly name: string;
    readonly handlers: Readonly<Record<string, Handler>>;
  }): object;
  createEndpointHandler(options: {
    readonly services: readonly object[];
  }): (request: Http2ServerRequest, response: Http2ServerResponse) => void;
}

interface Context {
  readonly key: string;
  get(name: string): Promise<number | null>;
  set(name: string, value: number): void;
  objectSendClient(object: { name: string }, key: string): { visit(left: Left): void };
}

type Left = Pick<Visits, "visits" | "counters">;
type Handler = (context: Context, input: never) => Promise<number>;

const NAME = "counter";
let handled = 0;

async function read(context: Context): Promise<number> {
  const count = (await context.get("count")) ?? 0;
  handled++;
  return count;
}

async function add(context: Context): Promise<number> {
  const count = (await read(context)) + 1;
  context.set("count", count);
  return count;
}

async function visit(context: Context, { visits, counters }: Left): Promise<number> {
  if (visits > 1) {
    const next = String((Number(context.key) + 1) % counters);
    context.objectSendClient({ name: NAME }, next).visit({ visits: visits - 1, counters });
  }
  return add(context);
}

async function start(context: Context, { from, to, ...left }: Visits): Promise<number> {
  for (let counter = from; counter < to; counter++) {
    context.objectSendClient({ name: NAME }, String(counter)).visit(left);
  }
  handled++;
  return to - from;
}

// Each invocation would write several lines.
process.env["RESTATE_LOGGING"] = "ERROR";
const [packages] = process.argv.slice(2);
const sdk = createRequire(join(packages!, "package.json"))("@restatedev/restate-sdk") as Sdk;
const services = [sdk.object({ name: NAME, handlers: { add, read, start, visit } })];
const server = createServer(sdk.createEndpointHandler({ services }));
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
for await (const _ of createInterface(process.stdin)) process.stdout.write(`${handled}\n`);
// Whoever asked has gone; the server would go on.
process.exit();
