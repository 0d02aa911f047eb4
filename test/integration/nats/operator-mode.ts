/** A nats-server whose users are signed by an operator: its configuration, and credentials made for it. */
import { createHash, randomUUID } from "node:crypto";
import { nkeys } from "@nats-io/transport-node";

type KeyPair = ReturnType<typeof nkeys.createUser>;

export interface OperatorMode {
  /** Lines for the configuration file. */
  readonly configuration: string;
  readonly credentials: string;
  /** Of an account the server has never heard of. */
  readonly strangerCredentials: string;
}

const UNLIMITED = { subs: -1, data: -1, payload: -1 };

export function operatorMode(): OperatorMode {
  const operator = nkeys.createOperator();
  const operatorJwt = signed(operator, operator.getPublicKey(), { type: "operator" });
  const [account, system, stranger] = [
    nkeys.createAccount(),
    nkeys.createAccount(),
    nkeys.createAccount(),
  ];
  const store = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const limits = { ...UNLIMITED, ...store, conn: -1, leaf: -1, imports: -1, exports: -1 };
  const accountJwt = signed(operator, account.getPublicKey(), {
    type: "account",
    limits: { ...limits, wildcards: true },
  });
  const systemJwt = signed(operator, system.getPublicKey(), {
    type: "account",
    limits: { ...UNLIMITED, conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true },
  });
  const known = [
    `${account.getPublicKey()}: ${accountJwt}`,
    `${system.getPublicKey()}: ${systemJwt}`,
  ];
  const lines = [
    `operator: ${operatorJwt}`,
    `system_account: ${system.getPublicKey()}`,
    "resolver: MEMORY",
    `resolver_preload: { ${known.join(", ")} }`,
  ];
  return {
    configuration: lines.join("\n"),
    credentials: credentialsOf(account),
    strangerCredentials: credentialsOf(stranger),
  };
}

function credentialsOf(account: KeyPair): string {
  const user = nkeys.createUser();
  const jwt = signed(account, user.getPublicKey(), { type: "user", ...UNLIMITED });
  const seed = new TextDecoder().decode(user.getSeed());
  const part = (name: string, text: string): string =>
    `-----BEGIN ${name}-----\n${text}\n------END ${name}------\n`;
  return part("NATS USER JWT", jwt) + part("USER NKEY SEED", seed);
}

/** A token as nats-server reads it: three parts in base64url, the last a signature by the issuer. */
function signed(issuer: KeyPair, subject: string, nats: Record<string, unknown>): string {
  const base64url = (value: unknown): string =>
    Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    jti: createHash("sha256").update(randomUUID()).digest("hex"),
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    name: "test",
    sub: subject,
    nats: { ...nats, version: 2 },
  };
  const signing = `${base64url({ typ: "JWT", alg: "ed25519-nkey" })}.${base64url(claims)}`;
  const signature = issuer.sign(new TextEncoder().encode(signing));
  return `${signing}.${Buffer.from(signature).toString("base64url")}`;
}
