/** The REST listener. */
import { createServer, type Server } from "node:http";
import type { ListenerConfig } from "../../base/config-schema.ts";
import { closeHttp, listenHttp } from "../listen.ts";
import { OpenCalls } from "../open-calls.ts";
import type { ApiContext } from "../request.ts";
import type { ApiService } from "../service/services.ts";
import { RestHandler } from "./handler.ts";

/** A client that sends slower than this is not waited for. */
const REQUEST_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** For readers to take their last answers when the node stops. */
const SLOW_READER_MS = 2000;

export interface RestListener {
  readonly port: number;
  /** Lets requests finish for a while, then answers them itself. */
  stop(): Promise<void>;
}

export async function startRest(
  listener: ListenerConfig,
  api: ApiContext,
  services: readonly ApiService[],
): Promise<RestListener> {
  const openCalls = new OpenCalls();
  const handler = new RestHandler(api, services, openCalls);
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: HEADERS_TIMEOUT_MS },
    (request, response) => void handler.handle(request, response),
  );
  const port = await listenHttp(server, "api.rest.port", listener);
  return { port, stop: () => stop(server, openCalls, api.config.current.api.drainMs) };
}

/** Streams end at once, other requests get a while; what hangs on a slow reader is cut off. */
async function stop(server: Server, openCalls: OpenCalls, drainMs: number): Promise<void> {
  const callOff = openCalls.drain(drainMs);
  await closeHttp(server, drainMs + SLOW_READER_MS);
  callOff();
}
