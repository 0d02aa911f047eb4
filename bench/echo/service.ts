/** A service with nothing behind it: bytes out, the same bytes back. */
import type { ServiceDefinition } from "@grpc/grpc-js";

const asIs = (bytes: Buffer): Buffer => bytes;

export const ECHO_PATH = "/bench.Echo/Echo";

export const ECHO_SERVICE = {
  echo: {
    path: ECHO_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
} satisfies ServiceDefinition;
