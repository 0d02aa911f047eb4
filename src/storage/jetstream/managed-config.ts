/** The configuration file of a node's own nats-server, and who may do what on it. */
import type { NatsConfig } from "../../base/config-nats.ts";
import {
  ALL_ASK_SUBJECTS,
  ALL_EVENT_SUBJECTS,
  ALL_SEND_SUBJECTS,
  ASK_SUBJECTS,
  CLIENT_SUBJECTS,
  ERROR_SUBJECTS,
  SEND_SUBJECTS,
  TOPIC_SUBJECTS,
} from "../../base/nats-subjects.ts";

export const NODE_USER = "caxton";
const CLIENT_USER = "client";

const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** The streams have bounds of their own; this only keeps the server from taking a share of the disk for one. */
const STORE_BYTES_MAX = 1024 ** 5;
const LOG_FILE_BYTES_MAX = 8 * 1024 * 1024;

export interface ManagedPlaces {
  /** Holds the folder `jetstream` with all data. */
  readonly store: string;
  readonly configuration: string;
  readonly pidFile: string;
  readonly logFile: string;
}

export function placesIn(store: string): ManagedPlaces {
  return {
    store,
    configuration: `${store}/nats-server.conf`,
    pidFile: `${store}/nats-server.pid`,
    logFile: `${store}/nats-server.log`,
  };
}

export interface ManagedSecrets {
  readonly nodePassword: string;
  /** Undefined: clients need none. */
  readonly clientPassword: string | undefined;
}

interface Rules {
  readonly allow: readonly string[];
  readonly deny?: readonly string[];
}

interface Permissions {
  readonly publish: Rules;
  readonly subscribe: Rules;
}

/**
 * What NATS clients may do. Not theirs: the node's own subjects (_caxton.>), the API of JetStream, saying what only
 * agents say, and reading or answering what others ask agents.
 */
function clientPermissions(): Permissions {
  return {
    publish: {
      allow: [CLIENT_SUBJECTS, "_INBOX.>", "$SRV.>"],
      deny: [ALL_EVENT_SUBJECTS],
    },
    subscribe: {
      allow: [CLIENT_SUBJECTS, "_INBOX.>"],
      deny: [ALL_SEND_SUBJECTS, ALL_ASK_SUBJECTS],
    },
  };
}

const NODE_ACCOUNT = "CAXTON";
/** What clients ask for; the answer goes to their side, whatever subject they name for it. */
const SERVICES = [SEND_SUBJECTS, ASK_SUBJECTS, "$SRV.>", TOPIC_SUBJECTS];
const STREAMS = [TOPIC_SUBJECTS, ALL_EVENT_SUBJECTS, ERROR_SUBJECTS];

/**
 * Clients have an account of their own. In the node's, rights alone would not do: JetStream acknowledges to the
 * subject that the sender of a message names, and could be led to acknowledge into the node's log.
 */
function accountsOf(node: object, client: object): object {
  const account = NODE_ACCOUNT;
  return {
    [NODE_ACCOUNT]: {
      jetstream: "enabled",
      users: [node],
      exports: [
        ...SERVICES.map((service) =>
          service === "$SRV.>" ? { service, response_type: "stream" } : { service },
        ),
        ...STREAMS.map((stream) => ({ stream })),
      ],
    },
    CLIENTS: {
      users: [client],
      imports: [
        ...SERVICES.map((subject) => ({ service: { account, subject } })),
        ...STREAMS.map((subject) => ({ stream: { account, subject } })),
      ],
    },
  };
}

/** JSON, which nats-server reads as well. */
export function managedConfiguration(
  places: ManagedPlaces,
  { durability }: Pick<NatsConfig, "durability">,
  server: { readonly name: string; readonly port: number },
  { nodePassword, clientPassword }: ManagedSecrets,
): string {
  const client = {
    user: CLIENT_USER,
    password: clientPassword ?? "",
    permissions: clientPermissions(),
  };
  const configuration = {
    server_name: server.name,
    listen: `127.0.0.1:${server.port}`,
    max_payload: MAX_PAYLOAD_BYTES,
    pid_file: places.pidFile,
    log_file: places.logFile,
    logfile_size_limit: LOG_FILE_BYTES_MAX,
    logfile_max_num: 2,
    jetstream: {
      store_dir: places.store,
      max_file_store: STORE_BYTES_MAX,
      sync_interval: durability === "durable" ? "always" : "2m",
    },
    accounts: accountsOf({ user: NODE_USER, password: nodePassword }, client),
    ...(clientPassword === undefined && { no_auth_user: CLIENT_USER }),
  };
  return `${JSON.stringify(configuration, null, 2)}\n`;
}
