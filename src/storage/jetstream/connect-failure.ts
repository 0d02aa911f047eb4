/** Why NATS servers can't be used, as people can act on it. */
import {
  AuthorizationError,
  PermissionViolationError,
  RequestError,
  UserAuthenticationExpiredError,
} from "@nats-io/transport-node";
import { CaxtonError, ensureError } from "../../base/errors.ts";

/** Codes of Node and OpenSSL for a handshake that fails on certificates or keys. */
const TLS_CODE =
  /^(ERR_(TLS|SSL|OSSL)_|UNABLE_TO_|CERT_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE))/;

/** Of a connection that did not come about. STORAGE_UNAVAILABLE is worth another try, the others are not. */
export function connectFailure(
  thrown: unknown,
  servers: readonly string[],
  who: string,
): CaxtonError {
  if (thrown instanceof CaxtonError) return thrown;
  const cause = ensureError(thrown);
  const where = servers.join(", ");
  if (isAuthorization(cause)) {
    const text = `${where} refuses ${who}: ${cause.message}.`;
    return new CaxtonError("NATS_REFUSED", text, { cause });
  }
  if (isTls(cause)) {
    const text = `No TLS connection to ${where}: ${cause.message}.`;
    return new CaxtonError("NATS_REFUSED", text, { cause });
  }
  const violation = [cause, cause.cause].find((each) => each instanceof PermissionViolationError);
  if (violation !== undefined) {
    const text = `${where} does not allow ${who} to ${violation.operation} ${violation.subject}.`;
    return new CaxtonError("NATS_REFUSED", text, { cause });
  }
  const text = `${where} can't be reached: ${reasonOf(cause)}.`;
  return new CaxtonError("STORAGE_UNAVAILABLE", text, { cause });
}

function isAuthorization(error: Error): boolean {
  return error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError;
}

function isTls(error: Error): boolean {
  if (error.message === "server does not support 'tls'") return true;
  const causes = [error, error.cause].filter((each) => each instanceof Error);
  return causes.some((each) => "code" in each && TLS_CODE.test(String(each.code)));
}

function reasonOf(error: Error): string {
  if (error.message !== "") return error.message;
  return error.cause instanceof Error ? error.cause.message : error.name;
}

export function isWithoutResponder(error: unknown): boolean {
  return error instanceof RequestError && error.isNoResponders();
}
