/** Methods of the API as gRPC handlers: deadlines, trace context, cancellation and the mapping of failures. */
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { asCaxtonError, type CaxtonError } from "../../base/errors.ts";
import type { OpenCall, OpenCalls } from "../open-calls.ts";
import { type ApiContext, nodeIsStopping, RequestRecord } from "../request.ts";
import type { StreamMethod, UnaryMethod } from "../service/method.ts";
import type { ApiService } from "../service/services.ts";
import { requestOf } from "./decode.ts";
import { toServiceError } from "./errors.ts";

export interface GrpcContext extends ApiContext {
  readonly openCalls: OpenCalls;
}

export function handlersOf(
  api: GrpcContext,
  { definition, methods }: ApiService,
): UntypedServiceImplementation {
  const handlers = Object.entries(definition).map(([name, { path, responseStream }]) => {
    const method = path.split("/").at(-1)!;
    const handler = responseStream
      ? streaming(api, method, methods[name] as StreamMethod<unknown, unknown>)
      : unary(api, method, methods[name] as UnaryMethod<unknown, unknown>);
    return [name, handler];
  });
  return Object.fromEntries(handlers) as UntypedServiceImplementation;
}

function unary<Q, A>(
  api: GrpcContext,
  method: string,
  run: UnaryMethod<Q, A>,
): handleUnaryCall<Q | CaxtonError, A> {
  return (call, callback) => {
    const record = new RequestRecord(api, method, call.metadata.get("traceparent")[0]);
    const fail = (error: CaxtonError): void => {
      api.openCalls.remove(open);
      callback(toServiceError(error, record.traceId));
      record.failed(error);
    };
    let isEnded = false;
    const open: OpenCall = {
      isStream: false,
      end: () => {
        isEnded = true;
        fail(nodeIsStopping());
      },
    };
    api.openCalls.add(open);
    const info = { traceparent: record.traceparent, remainingMs: remainingMs(call.getDeadline()) };
    const answering = async (): Promise<A> => run(requestOf(call.request), info);
    answering().then(
      (answer) => {
        if (isEnded) return;
        api.openCalls.remove(open);
        callback(null, answer);
        record.succeeded();
      },
      (thrown: unknown) => {
        if (!isEnded) fail(asCaxtonError(thrown));
      },
    );
  };
}

function remainingMs(deadline: Date | number): number {
  return deadline === Infinity ? Infinity : Number(deadline) - Date.now();
}

function streaming<Q, A>(
  api: GrpcContext,
  method: string,
  run: StreamMethod<Q, A>,
): handleServerStreamingCall<Q | CaxtonError, A> {
  return (stream) => {
    const record = new RequestRecord(api, method, stream.metadata.get("traceparent")[0]);
    const end = endOnce(stream, record);
    try {
      const write = (answer: A, sent: () => void): void => {
        stream.write(answer, sent);
      };
      const { earlier, leave } = run(requestOf(stream.request), { write, ended: end });
      // Tells the caller that from now on nothing is missed.
      stream.sendMetadata(new Metadata());
      for (const answer of earlier) stream.write(answer);
      if (leave === undefined) {
        end(undefined);
        return;
      }
      const close = (error: CaxtonError | undefined): void => {
        api.openCalls.remove(open);
        leave();
        end(error);
      };
      const open: OpenCall = { isStream: true, end: () => close(nodeIsStopping()) };
      api.openCalls.add(open);
      stream.once("close", () => close(undefined));
    } catch (error) {
      end(asCaxtonError(error));
    }
  };
}

/** The first call ends the stream and writes its log line. */
function endOnce<Q, A>(
  stream: ServerWritableStream<Q, A>,
  record: RequestRecord,
): (error: Error | undefined) => void {
  let isEnded = false;
  return (error) => {
    if (isEnded) return;
    isEnded = true;
    if (error === undefined) {
      stream.end();
      record.succeeded();
      return;
    }
    const caxtonError = asCaxtonError(error);
    stream.emit("error", toServiceError(caxtonError, record.traceId));
    record.failed(caxtonError);
  };
}
