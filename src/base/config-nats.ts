/** The settings below storage.nats: which NATS servers the JetStream engine uses and how it reaches them. */
import { z } from "zod";
import type { Finding } from "./errors.ts";

const PORT_MAX = 65_535;

/** host, host:port, or with nats:// or tls:// before it. Who may connect stands in settings of its own. */
function isNatsServer(text: string): boolean {
  const url = /^(?:(?:nats|tls):\/\/)?(\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+)(?::(\d{1,5}))?$/.exec(text);
  return url !== null && Number(url[2] ?? 1) >= 1 && Number(url[2] ?? 1) <= PORT_MAX;
}

/** The servers of the setting, which is one text as that of a variable is. */
export function natsServersOf(text: string): string[] {
  return text
    .split(",")
    .map((server) => server.trim())
    .filter((server) => server !== "");
}

const file = (description: string) => z.string().min(1).optional().meta({ description });

export const natsSchema = z
  .strictObject({
    managed: z.boolean().optional().meta({
      description:
        "The node starts a nats-server of its own, with its data below storage.directory. It ends with the node.",
      defaultText: "true when storage.nats.servers is empty",
    }),
    servers: z
      .string()
      .refine((text) => natsServersOf(text).every(isNatsServer), {
        error: "must be servers such as nats://10.0.0.1:4222 without user, separated by commas",
      })
      .default("")
      .meta({ description: "NATS servers to connect to, separated by commas." }),
    credentialsFile: file("Credentials (.creds) of a NATS user. Not with user or tokenFile."),
    user: z.string().min(1).optional().meta({
      description:
        "NATS user. Its password is in passwordFile or in the variable CAXTON_NATS_PASSWORD.",
    }),
    passwordFile: file("File with the password of storage.nats.user."),
    tokenFile: file("File with a NATS token. The variable CAXTON_NATS_TOKEN has one as well."),
    tls: z
      .strictObject({
        ca: file("Authorities that may sign the servers' certificates, PEM."),
        cert: file("Certificate the node shows to the servers, PEM."),
        key: file("Key of that certificate, PEM."),
      })
      .prefault({}),
    port: z.int().min(0).max(PORT_MAX).default(0).meta({
      description:
        "Port of the node's own nats-server, on 127.0.0.1. 0 takes a free one at each start.",
    }),
    clientPasswordFile: file(
      "File with the password that NATS clients of the node's own nats-server need, as user client. Without it they need none.",
    ),
    durability: z.enum(["durable", "fast"]).default("durable").meta({
      description:
        "durable: the node's own nats-server syncs each message to the disk before it acknowledges it. fast: every two minutes; what was acknowledged since is lost with the machine's power. Of other servers it says how they are set up.",
    }),
    replicas: z
      .int()
      .min(1)
      .max(3)
      .refine((count) => count !== 2, { error: "must be 1 or 3" })
      .default(1)
      .meta({ description: "Servers that hold each message: 1 or 3.", valueText: "1, 3" }),
    cluster: z
      .string()
      .regex(/^[a-z0-9-]{1,32}$/, "must be 1 to 32 of a-z, 0-9 and -")
      .default("default")
      .meta({ description: "Name that is part of all subjects and streams of this installation." }),
  })
  .prefault({});

type NatsValues = z.output<typeof natsSchema>;

/** Compiled: `managed` is decided. Files are read when they are needed. */
export type NatsConfig = Readonly<Omit<NatsValues, "managed">> & { readonly managed: boolean };

export type StorageEngine = "embedded" | "jetstream";

/** Settings that say how other servers are reached: they mean nothing to the node's own. */
const OF_SERVERS = ["credentialsFile", "user", "passwordFile", "tokenFile"] as const;
const OF_OWN = ["port", "clientPasswordFile"] as const;
const TLS = ["ca", "cert", "key"] as const;

export function compileNats(engine: StorageEngine, values: NatsValues): NatsConfig {
  const isNone = natsServersOf(values.servers).length === 0;
  return { ...values, managed: values.managed ?? (engine === "jetstream" && isNone) };
}

/** What contradicts itself. `given` are the paths of all settings that have not their default. */
export function natsConflicts(
  engine: StorageEngine,
  nats: NatsConfig,
  given: ReadonlySet<string>,
): Finding[] {
  const isGiven = (name: string): boolean => given.has(`storage.nats.${name}`);
  const finding = (name: string, message: string): Finding => ({
    at: `storage.nats.${name}`,
    message,
  });
  if (engine === "embedded") {
    return [...given]
      .filter((path) => path.startsWith("storage.nats."))
      .map((at) => ({
        at,
        message: "is given, but storage.engine is embedded",
        hint: ENGINE_HINT,
      }));
  }
  const access = [...OF_SERVERS, ...TLS.map((name) => `tls.${name}`)];
  if (nats.managed) {
    const only = "is for given servers, but the node starts its own (storage.nats.managed)";
    const replicas = nats.replicas > 1 ? ["replicas"] : [];
    const contrary = isGiven("servers") ? ["servers"] : [];
    return [...contrary, ...access.filter(isGiven), ...replicas].map((name) => finding(name, only));
  }
  const own = OF_OWN.filter(isGiven).map((name) =>
    finding(name, "is for the node's own nats-server, but storage.nats.managed is false"),
  );
  return [...own, ...serverConflicts(nats, isGiven, finding)];
}

const ENGINE_HINT = "Set storage.engine to jetstream, or leave this out.";

function serverConflicts(
  nats: NatsConfig,
  isGiven: (name: string) => boolean,
  finding: (name: string, message: string) => Finding,
): Finding[] {
  const findings: Finding[] = [];
  if (natsServersOf(nats.servers).length === 0) {
    findings.push(finding("servers", "is empty, and storage.nats.managed is false"));
  }
  const [first, ...others] = ["credentialsFile", "user", "tokenFile"].filter(isGiven);
  for (const name of others) {
    findings.push(finding(name, `is given beside storage.nats.${first!}; one is enough`));
  }
  if (isGiven("passwordFile") && !isGiven("user")) {
    findings.push(finding("passwordFile", "is given without storage.nats.user"));
  }
  if (isGiven("tls.cert") !== isGiven("tls.key")) {
    const [missing, there] = isGiven("tls.cert") ? ["key", "cert"] : ["cert", "key"];
    findings.push(finding(`tls.${missing}`, `is missing beside storage.nats.tls.${there}`));
  }
  return findings;
}
