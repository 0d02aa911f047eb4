/**
 * Requests of clients between the API and the partitions.
 *
 * Owns the requests under way and the batches on their way to the workers.
 * 1. Every request ends exactly once: by its result, its deadline, or the loss of its worker.
 * 2. The bytes under way to one worker are bounded; what comes on top is refused.
 */
import { randomUUID } from "node:crypto";
import { CaxtonError } from "../base/errors.ts";
import type { ErrorCode } from "../base/errors.ts";
import { ERRORS } from "../base/errors.ts";
import type { NodeLimits } from "../base/config-schema.ts";
import { formatAddress, hashAddressText, parseAddress, partitionOf } from "./address.ts";
import type { AskInput, AskResult, Message, SendInput, SendResult } from "./kernel.ts";
import {
  FLAG_CLIENT,
  FLAG_WANTS_REPLY,
  MESSAGE_ID_BYTES_MAX,
  decodeMessage,
  encodeEnvelope,
} from "./wasm/envelope.ts";
import { WorkerBatches } from "./worker-batches.ts";
import { Packer } from "./worker-protocol.ts";
import type { FromWorker, PackedResult, PackedSubmission, ToWorker } from "./worker-protocol.ts";

const ASK_TIMEOUT_DEFAULT_MS = 30_000;
const RETRY_AFTER_MS = 100;
/** Id, addresses, headers and the like: a frame has room for them beside the largest content. */
const ENVELOPE_FIELDS_BYTES_MAX = 64 * 1024;
const DESTINATIONS_MAX = 10_000;
const CLIENT_NAME = /^[^/\0]{1,128}$/;

interface Request {
  readonly id: string;
  readonly partition: number;
  readonly worker: number;
  readonly bytes: number;
  readonly timer: NodeJS.Timeout | undefined;
  accepted(duplicate: boolean, frame: number): void;
  replied(duplicate: boolean, reply: Message): void;
  failed(error: CaxtonError): void;
}

interface Destination {
  readonly receiver: string;
  readonly partition: number;
}

interface Outgoing {
  readonly packer: Packer;
  readonly submissions: PackedSubmission[];
}

export interface ClientRequestPorts {
  readonly partitions: number;
  readonly limits: NodeLimits;
  workerOf(partition: number): number;
  post(worker: number, message: ToWorker, transfer: readonly ArrayBuffer[]): void;
  /** Why nothing can be accepted for this partition now. */
  refusal(partition: number): CaxtonError | undefined;
}

export class ClientRequests {
  private readonly ports: ClientRequestPorts;
  private readonly requests = new Map<number, Request>();
  /** All requests of one turn of the event loop travel together. */
  private readonly outgoing: WorkerBatches<Outgoing>;
  private readonly bytesUnderWay = new Map<number, number>();
  /** By the address as clients write it: parsing costs more than the rest of a small message. */
  private readonly destinations = new Map<string, Destination>();
  private lastRequestId = 0;
  accepted = 0;

  constructor(ports: ClientRequestPorts) {
    this.ports = ports;
    this.outgoing = new WorkerBatches<Outgoing>(
      () => ({ packer: new Packer(), submissions: [] }),
      (worker, { packer, submissions }) => {
        const bytes = packer.finish();
        ports.post(worker, { kind: "submit", submissions, bytes }, [bytes.buffer]);
      },
      queueMicrotask,
    );
  }

  send(input: SendInput): Promise<SendResult> {
    const { id, partition, envelope } = this.prepare(input);
    return new Promise((resolve, reject) => {
      this.submit(input, id, partition, envelope, false, undefined, {
        accepted: (duplicate, frame) => {
          resolve({ id, duplicate, partition, frame });
        },
        replied: () => undefined,
        failed: reject,
      });
    });
  }

  ask(input: AskInput): Promise<AskResult> {
    const { id, partition, envelope } = this.prepare(input, FLAG_WANTS_REPLY);
    return new Promise((resolve, reject) => {
      this.submit(input, id, partition, envelope, true, input.timeoutMs ?? ASK_TIMEOUT_DEFAULT_MS, {
        accepted: () => undefined,
        replied: (duplicate, reply) => {
          resolve({ id, duplicate, reply });
        },
        failed: reject,
      });
    });
  }

  /** A send as its partition gets it. Throws when something is wrong with it. */
  prepare(input: SendInput, flags = 0) {
    const { receiver, partition } = this.destinationOf(input.receiver);
    const { messageBytesMax } = this.ports.limits;
    if (input.content.length > messageBytesMax) {
      throw new CaxtonError(
        "MESSAGE_TOO_LARGE",
        `The content has ${String(input.content.length)} bytes, limits.messageBytesMax is ${String(messageBytesMax)}.`,
      );
    }
    const id = input.id ?? randomUUID();
    const idBytes = Buffer.byteLength(id);
    if (idBytes === 0 || idBytes > MESSAGE_ID_BYTES_MAX) {
      const max = String(MESSAGE_ID_BYTES_MAX);
      throw new CaxtonError("INVALID_ARGUMENT", `A message id has 1 to ${max} bytes.`);
    }
    const sender = input.client ?? "client";
    if (!CLIENT_NAME.test(sender)) {
      throw new CaxtonError(
        "INVALID_ARGUMENT",
        `"${sender}" is no client name: it may hold no "/".`,
      );
    }
    const envelope = encodeEnvelope({ ...input, id, receiver, sender, flags: flags | FLAG_CLIENT });
    const fieldsBytes = envelope.length - input.content.length;
    if (fieldsBytes > ENVELOPE_FIELDS_BYTES_MAX) {
      const max = String(ENVELOPE_FIELDS_BYTES_MAX);
      throw new CaxtonError(
        "MESSAGE_TOO_LARGE",
        `The message's fields besides its content have ${String(fieldsBytes)} bytes, the maximum is ${max}.`,
      );
    }
    return { id, partition, envelope };
  }

  private destinationOf(text: string): Destination {
    const known = this.destinations.get(text);
    if (known !== undefined) return known;
    const receiver = formatAddress(parseAddress(text));
    const partition = partitionOf(hashAddressText(receiver), this.ports.partitions);
    const destination = { receiver, partition };
    if (this.destinations.size === DESTINATIONS_MAX) this.destinations.clear();
    this.destinations.set(text, destination);
    return destination;
  }

  private submit(
    input: SendInput,
    id: string,
    partition: number,
    envelope: Buffer,
    wantsReply: boolean,
    timeoutMs: number | undefined,
    ends: Pick<Request, "accepted" | "replied" | "failed">,
  ): void {
    const refusal = this.ports.refusal(partition);
    if (refusal !== undefined) throw refusal;
    const worker = this.ports.workerOf(partition);
    const underWay = this.bytesUnderWay.get(worker) ?? 0;
    const bytes = envelope.length;
    const max = this.ports.limits.inflightBytesMax;
    if (underWay + bytes > max) {
      throw new CaxtonError(
        "OVERLOADED",
        `${String(underWay)} bytes are under way, limits.inflightBytesMax is ${String(max)}.`,
        { retryAfterMs: RETRY_AFTER_MS },
      );
    }
    this.bytesUnderWay.set(worker, underWay + bytes);
    const requestId = ++this.lastRequestId;
    const timer =
      timeoutMs === undefined ? undefined : this.startTimeout(requestId, partition, id, timeoutMs);
    this.requests.set(requestId, { id, partition, worker, bytes, timer, ...ends });
    const outgoing = this.outgoing.to(worker);
    outgoing.submissions.push({
      partition,
      requestId,
      id,
      chosenId: input.id !== undefined,
      wantsReply,
      ...outgoing.packer.add(envelope, 0, bytes),
    });
  }

  private startTimeout(
    requestId: number,
    partition: number,
    id: string,
    timeoutMs: number,
  ): NodeJS.Timeout {
    const timer = setTimeout(() => {
      const worker = this.ports.workerOf(partition);
      this.ports.post(worker, { kind: "forget", partition, id, requestId }, []);
      const waited = String(timeoutMs);
      this.take(requestId)?.failed(
        new CaxtonError("ASK_TIMEOUT", `No reply to message ${id} came within ${waited} ms.`),
      );
    }, timeoutMs);
    return timer;
  }

  private take(requestId: number): Request | undefined {
    const request = this.requests.get(requestId);
    if (request === undefined) return undefined;
    this.requests.delete(requestId);
    clearTimeout(request.timer);
    const underWay = this.bytesUnderWay.get(request.worker) ?? 0;
    this.bytesUnderWay.set(request.worker, underWay - request.bytes);
    return request;
  }

  results(message: Extract<FromWorker, { kind: "results" }>): void {
    const bytes = Buffer.from(message.bytes.buffer, message.bytes.byteOffset, message.bytes.length);
    for (const result of message.results) {
      const request = this.take(result.requestId);
      if (request === undefined) continue;
      this.finish(request, result, bytes);
    }
  }

  private finish(request: Request, result: PackedResult, bytes: Buffer): void {
    switch (result.kind) {
      case "accepted":
        this.accepted++;
        request.accepted(result.duplicate, result.frame);
        return;
      case "reply":
        this.accepted++;
        request.replied(result.duplicate, decodeMessage(bytes, result.offset));
        return;
      case "refused":
        request.failed(refusalError(result.code, result.reason));
        return;
      case "failure": {
        const code = Object.hasOwn(ERRORS, result.code) ? result.code : "AGENT_FAILED";
        request.failed(new CaxtonError(code as ErrorCode, `${request.id}: ${result.reason}`));
        return;
      }
    }
  }

  /** Ends all requests of a worker that is gone, or all there are. */
  failAll(error: CaxtonError, worker?: number): void {
    for (const [requestId, request] of this.requests) {
      if (worker === undefined || request.worker === worker) this.take(requestId)?.failed(error);
    }
  }
}

function refusalError(code: ErrorCode, reason: string): CaxtonError {
  return new CaxtonError(
    code,
    reason,
    ERRORS[code].retryable ? { retryAfterMs: RETRY_AFTER_MS } : {},
  );
}
