/**
 * Asks by NATS request: a service that NATS's own tools discover.
 *
 * Owns the asks under way.
 * 1. Every request that names a subject for its answer gets one answer.
 * 2. An answer goes only where a client may listen, whatever the request says.
 */
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { asCaxtonError, CaxtonError, ERRORS } from "../../base/errors.ts";
import { addressOf, ASK_SUBJECTS, isClientSubject } from "../../base/nats-subjects.ts";
import { VERSION } from "../../base/version.ts";
import { within } from "../../base/within.ts";
import type { AskRequest, AskResponse } from "../../gen/caxton/v1/message.ts";
import { type ApiContext, type CallInfo, nodeIsStopping, RequestRecord } from "../request.ts";
import { refusal } from "../service/validate.ts";
import {
  errorAnswer,
  headerOf,
  headersIn,
  headersOf,
  MESSAGE_ID_HEADER,
  messageOf,
  oneLine,
  TIMEOUT_HEADER,
} from "./envelope-headers.ts";
import { ServiceInfo } from "./service-info.ts";

export interface AskServicePorts {
  readonly connection: NatsConnection;
  readonly api: ApiContext;
  readonly cluster: string;
  /** The name of whoever asks by NATS. */
  readonly client: string;
  ask(request: AskRequest, call: CallInfo): Promise<AskResponse>;
}

const QUEUE_GROUP = "caxton";
const ASKS_MAX = 20_000;
const RETRY_AFTER_MS = 100;
/** What the headers of a reply may take; longer ones are the agent's doing, and fail. */
const HEADER_BYTES_MAX = 8192;

export class AskService {
  private readonly ports: AskServicePorts;
  private readonly info: ServiceInfo;
  private readonly subscription: Subscription;
  private readonly underWay = new Set<Promise<void>>();
  private stopped = false;

  constructor(ports: AskServicePorts, id: string) {
    this.ports = ports;
    this.info = new ServiceInfo({
      name: "caxton",
      id,
      version: VERSION,
      description: "Asks agents: request on caxton.v1.ask.<namespace>.<agent>.<key>",
      metadata: { cluster: ports.cluster },
      endpoint: { name: "ask", subject: ASK_SUBJECTS, queueGroup: QUEUE_GROUP },
    });
    this.subscription = ports.connection.subscribe(ASK_SUBJECTS, {
      queue: QUEUE_GROUP,
      callback: (error, request) => {
        if (error === null) this.received(request);
      },
    });
    this.info.listen(ports.connection);
  }

  /** Takes no more requests and answers those under way, at latest when the time is up. */
  async stop(timeoutMs: number): Promise<void> {
    this.stopped = true;
    this.info.stop();
    this.subscription.unsubscribe();
    await within(timeoutMs, Promise.all(this.underWay));
  }

  private received(request: Msg): void {
    const answering = this.answer(request);
    this.underWay.add(answering);
    void answering.then(() => this.underWay.delete(answering));
  }

  private async answer(request: Msg): Promise<void> {
    const startedAt = performance.now();
    const { api } = this.ports;
    const record = new RequestRecord(api, "Ask", givenIn(request, "traceparent"));
    try {
      if (!isClientSubject(request.reply ?? "")) {
        throw refusal({ at: "reply", message: "must be a subject that clients may listen to" });
      }
      const { reply } = await this.ask(request, record.traceparent);
      if (reply === undefined) throw new CaxtonError("NO_REPLY");
      const headers = headersOf(reply);
      this.checkSize(reply.content.length);
      request.respond(reply.content, { headers });
      this.info.answered(performance.now() - startedAt);
      record.succeeded();
    } catch (thrown) {
      const error = asCaxtonError(thrown);
      this.info.answered(performance.now() - startedAt, `${error.code}: ${error.message}`);
      record.failed(error);
      this.refuse(request, error);
    }
  }

  private ask(request: Msg, traceparent: string | undefined): Promise<AskResponse> {
    const headers = headersIn(request);
    if (this.stopped) throw nodeIsStopping();
    if (this.underWay.size >= ASKS_MAX) {
      const text = `${this.underWay.size} asks are under way.`;
      throw new CaxtonError("OVERLOADED", text, { retryAfterMs: RETRY_AFTER_MS });
    }
    const timeout = headerOf(headers, TIMEOUT_HEADER) ?? "0";
    if (!/^\d{1,9}$/.test(timeout)) {
      throw refusal({ at: TIMEOUT_HEADER, message: "must be a whole number of milliseconds" });
    }
    const message = messageOf({
      receiver: addressOf(request.subject),
      client: this.ports.client,
      content: request.data,
      headers,
    });
    const call = { traceparent, remainingMs: Infinity };
    return this.ports.ask({ message, timeoutMs: Number(timeout) }, call);
  }

  private checkSize(bytes: number): void {
    const max = this.ports.connection.info?.max_payload ?? Infinity;
    if (bytes + HEADER_BYTES_MAX <= max) return;
    const text = `The reply has ${bytes} bytes; the NATS server takes ${max} with the headers.`;
    throw new CaxtonError("MESSAGE_TOO_LARGE", text);
  }

  private refuse(request: Msg, error: CaxtonError): void {
    if (!isClientSubject(request.reply ?? "")) return;
    const id = givenIn(request, MESSAGE_ID_HEADER) ?? "";
    const { headers, body } = errorAnswer(error, { subject: request.subject, id });
    headers.set("Nats-Service-Error-Code", String(ERRORS[error.code].http));
    headers.set("Nats-Service-Error", oneLine(error.message).slice(0, 1000));
    request.respond(body, { headers });
  }
}

/** Undefined also where the headers are malformed, which is said elsewhere. */
function givenIn(request: Msg, name: string): string | undefined {
  try {
    return headerOf(request.headers, name);
  } catch {
    return undefined;
  }
}
