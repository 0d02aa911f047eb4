/** What the node shows to NATS servers: read from files and variables when it connects, kept in memory only. */
import { readFileSync } from "node:fs";
import {
  type Authenticator,
  credsAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node";
import type { NatsConfig } from "../../base/config-nats.ts";
import { CaxtonError, ensureError, type Finding } from "../../base/errors.ts";

export interface NatsTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface NatsLogin {
  /** Undefined: none is shown. */
  readonly authenticator: Authenticator | undefined;
  /** Who the node says it is, for messages. */
  readonly who: string;
  /** Undefined: only where the servers ask for it. */
  readonly tls: NatsTls | undefined;
}

export function passwordLogin(user: string, password: string): NatsLogin {
  const authenticator = usernamePasswordAuthenticator(user, password);
  return { authenticator, who: `user ${user}`, tls: undefined };
}

/** Throws INVALID_CONFIG with every file that can't be read. */
export function readLogin(
  nats: NatsConfig,
  env: Readonly<Record<string, string | undefined>>,
): NatsLogin {
  const findings: Finding[] = [];
  const read = (name: string, path: string | undefined): string | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      findings.push({ at: `storage.nats.${name}`, message: ensureError(error).message });
      return undefined;
    }
  };
  const credentials = read("credentialsFile", nats.credentialsFile);
  // Files end with a line break as a rule, passwords do not.
  const password =
    read("passwordFile", nats.passwordFile)?.trimEnd() ?? env["CAXTON_NATS_PASSWORD"];
  const token = read("tokenFile", nats.tokenFile)?.trim() ?? env["CAXTON_NATS_TOKEN"];
  const ca = read("tls.ca", nats.tls.ca);
  const cert = read("tls.cert", nats.tls.cert);
  const key = read("tls.key", nats.tls.key);
  if (findings.length > 0) throw new CaxtonError("INVALID_CONFIG", undefined, { findings });
  const wantsTls = nats.servers.includes("tls://") || ca !== undefined || cert !== undefined;
  const files = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
  const tls = wantsTls ? files : undefined;
  if (credentials !== undefined) {
    const authenticator = credsAuthenticator(new TextEncoder().encode(credentials));
    return { authenticator, who: `the user of ${nats.credentialsFile!}`, tls };
  }
  if (nats.user !== undefined) return { ...passwordLogin(nats.user, password ?? ""), tls };
  if (token !== undefined) {
    return { authenticator: tokenAuthenticator(token), who: "the owner of the token", tls };
  }
  return { authenticator: undefined, who: "a client without credentials", tls };
}
