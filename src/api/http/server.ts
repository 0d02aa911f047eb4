/** The operator's listener: liveness, readiness and metrics. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { ListenerConfig } from "../../base/config-schema.ts";
import { closeHttp, listenHttp } from "../listen.ts";
import type { ApiMetrics } from "../metrics.ts";
import type { ReadinessProbe } from "../readiness.ts";

export interface HttpListener {
  readonly port: number;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const STOP_PATIENCE_MS = 500;
const TEXT = "text/plain; charset=utf-8";

export async function startHttp(
  listener: ListenerConfig,
  metrics: ApiMetrics,
  readiness: ReadinessProbe,
): Promise<HttpListener> {
  const server = createServer((request, response) => {
    answer(request, metrics, readiness).then(
      (given) => respond(response, given),
      () => respond(response, { status: 500, contentType: TEXT, body: "internal error\n" }),
    );
  });
  const port = await listenHttp(server, "api.http.port", listener);
  return { port, stop: () => closeHttp(server, STOP_PATIENCE_MS) };
}

async function answer(
  request: IncomingMessage,
  metrics: ApiMetrics,
  readiness: ReadinessProbe,
): Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { status: 405, contentType: TEXT, body: "GET and HEAD are what there is\n" };
  }
  switch (request.url?.split("?")[0]) {
    case "/livez":
      return { status: 200, contentType: TEXT, body: "alive\n" };
    case "/readyz": {
      const { ready, reasons } = await readiness.read();
      const body = ready ? "ready\n" : `not ready\n${reasons.map((r) => `- ${r}\n`).join("")}`;
      return { status: ready ? 200 : 503, contentType: TEXT, body };
    }
    case "/metrics": {
      const { kernel } = readiness;
      const [status, agents] = await Promise.all([
        kernel?.node.status().catch(() => undefined),
        kernel?.agents.list(undefined).catch(() => undefined),
      ]);
      const body = await metrics.render(status, agents);
      return { status: 200, contentType: metrics.contentType, body };
    }
    default:
      return { status: 404, contentType: TEXT, body: "There are /livez, /readyz and /metrics\n" };
  }
}

function respond(response: ServerResponse, { status, contentType, body }: Answer): void {
  response.writeHead(status, { "content-type": contentType, "cache-control": "no-store" });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
