/**
 * Requests that can't be decoded are the caller's mistake. Left to grpc-js they would be INTERNAL, without a code of
 * ours and without a line in the log.
 */
import type { ServiceDefinition } from "@grpc/grpc-js";
import { CaxtonError } from "../../base/errors.ts";
import { refusal } from "../service/validate.ts";

/** The definition with decoders that return the refusal instead of throwing. */
export function decodedByUs(definition: ServiceDefinition): ServiceDefinition {
  const methods = Object.entries(definition).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer): unknown => {
      try {
        return method.requestDeserialize(bytes);
      } catch (error) {
        const message = `is malformed: ${(error as Error).message}`;
        return refusal({ at: "request", message });
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(methods) as ServiceDefinition;
}

/** What was decoded; throws the refusal. */
export function requestOf<Q>(decoded: Q | CaxtonError): Q {
  if (decoded instanceof CaxtonError) throw decoded;
  return decoded;
}
