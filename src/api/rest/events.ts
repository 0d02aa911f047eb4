/**
 * A stream as server-sent events. A comment now and then keeps proxies from ending a silent one; a failure is an
 * event named error with its problem. The id of an event is what a reader goes on with after it was away.
 */
import type { ServerResponse } from "node:http";
import { asCaxtonError } from "../../base/errors.ts";
import type { OpenCall } from "../open-calls.ts";
import { nodeIsStopping, type RequestRecord } from "../request.ts";
import type { StreamMethod } from "../service/method.ts";
import type { RequestMessage } from "./json-decoder.ts";
import { problemOf } from "./problem.ts";

const HEARTBEAT_MS = 15_000;
/** For the reader to take what was said last. */
const LAST_READ_MS = 5000;
const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
};

type Answer = Readonly<Record<string, unknown>>;

export interface EventOptions {
  readonly run: StreamMethod<RequestMessage, Answer>;
  readonly encode: (answer: Answer) => unknown;
  readonly opened: (call: OpenCall) => void;
  readonly closed: (call: OpenCall) => void;
}

export function sendEvents(
  response: ServerResponse,
  request: RequestMessage,
  record: RequestRecord,
  { run, encode, opened, closed }: EventOptions,
): void {
  const write = (answer: Answer, sent: () => void): void => {
    const { resumeToken } = answer;
    const id = typeof resumeToken === "string" && resumeToken !== "" ? `id: ${resumeToken}\n` : "";
    response.write(`${id}data: ${JSON.stringify(encode(answer))}\n\n`, () => {
      sent();
    });
  };
  let isEnded = false;
  const ended = (error: Error | undefined): void => {
    if (isEnded) return;
    isEnded = true;
    clearInterval(heartbeat);
    if (error === undefined) record.succeeded();
    else {
      const failure = asCaxtonError(error);
      const problem = problemOf(failure, record.traceId);
      response.write(`event: error\ndata: ${JSON.stringify(problem)}\n\n`);
      record.failed(failure);
    }
    response.end();
    // One that reads nothing would keep the connection and what is written to it.
    const given = setTimeout(() => response.destroy(), LAST_READ_MS);
    response.once("close", () => clearTimeout(given));
  };
  const heartbeat = setInterval(() => response.write(": still here\n\n"), HEARTBEAT_MS);
  try {
    const { earlier, leave } = run(request, { write, ended });
    response.writeHead(200, { ...HEADERS, "caxton-trace-id": record.traceId });
    // Tells the caller that from now on nothing is missed.
    response.write(": open\n\n");
    for (const answer of earlier) write(answer, () => undefined);
    if (leave === undefined) {
      ended(undefined);
      return;
    }
    const call: OpenCall = {
      isStream: true,
      end: () => {
        leave();
        ended(nodeIsStopping());
      },
    };
    opened(call);
    response.once("close", () => {
      closed(call);
      leave();
      ended(undefined);
    });
  } catch (error) {
    isEnded = true;
    clearInterval(heartbeat);
    throw error;
  }
}
