import { CaxtonError } from "../base/errors.ts";

/** Names the port and the option that moves it. */
export function listenFailed(option: string, address: string, cause: Error): CaxtonError {
  const why = cause.message.includes("EADDRINUSE") ? "it is in use" : cause.message;
  const text = `Can't listen on ${address}: ${why}. The option is ${option}.`;
  return new CaxtonError("LISTEN_FAILED", text, { cause });
}
