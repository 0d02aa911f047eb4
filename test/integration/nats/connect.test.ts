/** Connecting to NATS servers: every way it can fail is said, and a connection outlives its servers. */
import { writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import type { NatsConfig } from "../../../src/base/config-nats.ts";
import { loadConfig } from "../../../src/base/config.ts";
import { CaxtonError } from "../../../src/base/errors.ts";
import { connectNats, type LastingConnection } from "../../../src/storage/jetstream/connect.ts";
import { reconnectDelayMs } from "../../../src/storage/jetstream/connection-watch.ts";
import { readLogin } from "../../../src/storage/jetstream/nats-login.ts";
import { isNewEnough } from "../../../src/storage/jetstream/server-version.ts";
import { type NatsServerOptions, startNatsServer } from "../../support/nats-servers.ts";
import { operatorMode } from "./operator-mode.ts";
import { listeningLog, removeFolders, temporaryFolder } from "./support.ts";

const SOON = { timeout: 20_000, interval: 20 };
const TLS = join(import.meta.dirname, "tls");
const pem = (name: string): string => join(TLS, `${name}.pem`);

const opened: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});
afterAll(removeFolders);

async function serve(options: NatsServerOptions = {}) {
  const server = await startNatsServer(options);
  opened.push({ stop: () => server.dispose() });
  return server;
}

/** With JetStream, for servers whose start can't be watched from inside: they ask for more than a password. */
function closed(configuration: string): NatsServerOptions {
  const store = `jetstream { store_dir: "${temporaryFolder()}" }`;
  return { jetstream: false, configuration: `${configuration}\n${store}` };
}

/** As a node with these settings connects. */
function natsOf(servers: string, settings: Readonly<Record<string, string>> = {}): NatsConfig {
  const all = { servers, ...settings };
  const sets = Object.entries(all).map(([name, value]) => `storage.nats.${name}=${value}`);
  return loadConfig({ sets: ["storage.engine=jetstream", ...sets] }).storage.nats;
}

interface Seen {
  readonly link: LastingConnection;
  readonly events: (string | number)[];
  readonly lines: () => Record<string, unknown>[];
}

async function connect(
  servers: string,
  settings: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): Promise<Seen> {
  const { log, lines } = listeningLog();
  const nats = natsOf(servers, settings);
  const events: (string | number)[] = [];
  const link = await connectNats(
    {
      servers: nats.servers.split(","),
      login: readLogin(nats, env),
      name: "caxton-test",
      cluster: nats.cluster,
      firstConnectMs: 500,
    },
    log,
    {
      away: () => events.push("away"),
      back: (awayMs) => events.push("back", awayMs),
      lost: (error) => events.push("lost", error.code),
    },
  );
  opened.push({ stop: () => link.close() });
  return { link, events, lines };
}

async function refusal(connecting: Promise<unknown>): Promise<string> {
  const error: unknown = await connecting.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CaxtonError) return `${error.code}: ${error.message}`;
  throw new Error("it was not refused", { cause: error });
}

test("which versions are enough", () => {
  const enough = ["2.12.0", "2.12.3-RC.1", "v2.15.1", "2.100.0", "3.0.0"];
  const tooOld = ["2.11.99", "2.9.10", "1.99.0", "", "beta", "212"];
  expect([...enough, ...tooOld].filter(isNewEnough)).toEqual(enough);
});

test("tries are further apart the longer it lasts, within bounds, and never in step", () => {
  expect(reconnectDelayMs(0, 0)).toBe(50);
  expect(reconnectDelayMs(0, 1)).toBe(100);
  expect(reconnectDelayMs(4000, 1)).toBe(1000);
  expect(reconnectDelayMs(3_600_000, 1)).toBe(2000);
  expect(reconnectDelayMs(3_600_000, 0)).toBe(1000);
});

test("one that answers is used, under the node's name", async () => {
  const server = await serve();
  const { link } = await connect(`nats://${server.url}`);
  await link.connection.flush();
  expect(link.awayMs()).toBeUndefined();
});

test("the second of two is used when nothing answers at the first", async () => {
  const server = await serve();
  const { link } = await connect(`127.0.0.1:1,${server.url}`);
  expect(link.connection.getServer()).toBe(server.url);
});

test("nothing listens", async () => {
  const text = await refusal(connect("127.0.0.1:1"));
  expect(text).toBe("STORAGE_UNAVAILABLE: 127.0.0.1:1 can't be reached: connection refused.");
});

test("a server that starts late is waited for", async () => {
  const server = await serve();
  await server.kill();
  const connecting = connect(server.url);
  await server.start();
  await (await connecting).link.connection.flush();
});

test("something else listens", async () => {
  const url = await fakeServer((socket) => socket.write("220 mail.example.org ESMTP\r\n"));
  expect(await refusal(connect(url))).toMatch(/^STORAGE_UNAVAILABLE: .* can't be reached/);
});

test("a server that is too old", async () => {
  const info = { server_id: "x", server_name: "old", version: "2.11.8", max_payload: 1024 ** 2 };
  const url = await fakeServer((socket) => {
    socket.write(`INFO ${JSON.stringify({ ...info, proto: 1, headers: true })}\r\n`);
    socket.on("data", (bytes) => {
      if (bytes.toString().includes("PING")) socket.write("PONG\r\n");
    });
  });
  expect(await refusal(connect(url))).toBe(
    `NATS_UNSUITABLE: nats-server old at ${url} is 2.11.8; 2.12 or newer is needed.`,
  );
});

test("JetStream off", async () => {
  const server = await serve({ jetstream: false });
  expect(await refusal(connect(server.url))).toMatch(/^NATS_UNSUITABLE: JetStream is off/);
});

test("JetStream off for the account", async () => {
  const server = await serve({
    configuration:
      "accounts { A { jetstream: enabled, users: [{user: a, password: a}] }, B { users: [{user: b, password: b}] } }",
    user: "a",
    password: "a",
  });
  const text = await refusal(connect(server.url, { user: "b" }, { CAXTON_NATS_PASSWORD: "b" }));
  expect(text).toMatch(/^NATS_UNSUITABLE: JetStream is off for user b .*not enabled/i);
});

test("an account that may not use its API", async () => {
  const permissions = 'permissions { publish: ["_caxton.>"], subscribe: ["_caxton.>"] }';
  const server = await serve({
    configuration: `authorization { users: [{user: a, password: a}, {user: b, password: b, ${permissions}}] }`,
    user: "a",
    password: "a",
  });
  const text = await refusal(connect(server.url, { user: "b" }, { CAXTON_NATS_PASSWORD: "b" }));
  expect(text).toMatch(/^NATS_REFUSED: .* does not allow user b to publish \$JS\.API\.INFO/);
});

test("a user with its password, from a file or a variable", async () => {
  const configuration = "authorization { user: caxton, password: secret }";
  const server = await serve({ configuration, user: "caxton", password: "secret" });
  const file = join(temporaryFolder(), "password");
  writeFileSync(file, "secret\n");
  await connect(server.url, { user: "caxton", passwordFile: file });
  await connect(server.url, { user: "caxton" }, { CAXTON_NATS_PASSWORD: "secret" });
  for (const wrong of [{ CAXTON_NATS_PASSWORD: "wrong" }, {}]) {
    const text = await refusal(connect(server.url, { user: "caxton" }, wrong));
    expect(text).toMatch(/^NATS_REFUSED: .* refuses user caxton: .*Authorization Violation/i);
    expect(text).not.toContain("wrong");
  }
  expect(await refusal(connect(server.url))).toContain("a client without credentials");
});

test("a token, from a file or a variable", async () => {
  const server = await serve(closed("authorization { token: t0ken }"));
  const file = join(temporaryFolder(), "token");
  writeFileSync(file, "t0ken\n");
  await connect(server.url, { tokenFile: file });
  await connect(server.url, {}, { CAXTON_NATS_TOKEN: "t0ken" });
  const text = await refusal(connect(server.url, {}, { CAXTON_NATS_TOKEN: "other" }));
  expect(text).toMatch(/^NATS_REFUSED: .* refuses the owner of the token/);
});

test("credentials of a user of an operator", async () => {
  const { configuration, credentials, strangerCredentials } = operatorMode();
  const server = await serve(closed(configuration));
  const folder = temporaryFolder();
  const [file, other] = [join(folder, "own.creds"), join(folder, "other.creds")];
  writeFileSync(file, credentials);
  writeFileSync(other, strangerCredentials);
  await connect(server.url, { credentialsFile: file });
  const text = await refusal(connect(server.url, { credentialsFile: other }));
  expect(text).toMatch(/^NATS_REFUSED: .* refuses the user of .*other\.creds/);
});

test("files that can't be read are all named", () => {
  const nats = natsOf("localhost", { user: "a", passwordFile: "/no/p", "tls.ca": "/no/ca" });
  try {
    readLogin(nats, {});
    expect.unreachable();
  } catch (error) {
    const { code, findings } = error as CaxtonError;
    expect(code).toBe("INVALID_CONFIG");
    expect(findings.map(({ at }) => at)).toEqual([
      "storage.nats.passwordFile",
      "storage.nats.tls.ca",
    ]);
  }
});

/** `verify`: clients have to show certificates as well. */
const tlsOf = (verify: boolean): string =>
  `tls { cert_file: "${pem("server")}", key_file: "${pem("server-key")}", ca_file: "${pem("ca")}", verify: ${verify} }`;

test("TLS with authorities of one's own", async () => {
  const server = await serve(closed(tlsOf(false)));
  await connect(`tls://${server.url}`, { "tls.ca": pem("ca") });
  const untrusted = await refusal(connect(server.url));
  expect(untrusted).toMatch(/^NATS_REFUSED: No TLS connection to .*certificate/);
});

test("TLS asked for where the server has none", async () => {
  const server = await serve();
  const text = await refusal(connect(`tls://${server.url}`));
  expect(text).toMatch(/^NATS_REFUSED: No TLS connection to .*does not support 'tls'/);
});

test("TLS with a certificate of the node", async () => {
  const server = await serve(closed(tlsOf(true)));
  const ca = { "tls.ca": pem("ca") };
  await connect(server.url, { ...ca, "tls.cert": pem("node"), "tls.key": pem("node-key") });
  const text = await refusal(connect(server.url, ca));
  expect(text).toMatch(/^NATS_REFUSED: No TLS connection to /);
});

test("servers that go away come back, and how long it took is said", async () => {
  const server = await serve();
  const { link, events, lines } = await connect(server.url);
  await server.kill();
  await expect.poll(() => events, SOON).toEqual(["away"]);
  expect(link.awayMs()).toBeGreaterThan(0);
  await server.start();
  await expect.poll(() => events, SOON).toEqual(["away", "back", expect.any(Number)]);
  expect(link.awayMs()).toBeUndefined();
  await link.connection.flush();
  const said = lines().map(({ msg }) => String(msg));
  expect(said.filter((msg) => msg.startsWith("NATS is away"))).toHaveLength(1);
  expect(said.filter((msg) => /^NATS is back; it was away for \d+\.\d s$/.test(msg))).toHaveLength(
    1,
  );
  expect(lines()).toContainEqual(expect.objectContaining({ awayMs: events[2] }));
});

test("a server that hangs is away until it answers again", async () => {
  const server = await serve();
  const { link, events, lines } = await connect(server.url);
  server.pause();
  await expect.poll(() => events, SOON).toEqual(["away"]);
  server.resume();
  await expect.poll(() => events, SOON).toEqual(["away", "back", expect.any(Number)]);
  await link.connection.flush();
  expect(lines().map(({ msg }) => msg)).toContain("NATS does not answer pings");
});

test("a password that is wrong for a while ends nothing", async () => {
  const configuration = "authorization { user: caxton, password: secret }";
  const server = await serve({ configuration, user: "caxton", password: "secret" });
  const env = { CAXTON_NATS_PASSWORD: "secret" };
  const { link, events, lines } = await connect(server.url, { user: "caxton" }, env);
  await server.kill();
  server.reconfigure((text) => text.replace("password: secret", "password: other"));
  await server.start();
  const refusals = (): number =>
    lines().filter(({ reason }) => /authorization violation/i.test(String(reason))).length;
  await expect.poll(refusals, SOON).toBeGreaterThan(2);
  await server.kill();
  server.reconfigure((text) => text.replace("password: other", "password: secret"));
  await server.start();
  await expect.poll(() => events, SOON).toEqual(["away", "back", expect.any(Number)]);
  await link.connection.flush();
});

test("closed on purpose it is not lost", async () => {
  const server = await serve();
  const { link, events } = await connect(server.url);
  await link.close();
  expect(link.connection.isClosed()).toBe(true);
  expect(events).toEqual([]);
});

test("closed by somebody else it is lost", async () => {
  const server = await serve();
  const { link, events } = await connect(server.url);
  await link.connection.close();
  await expect.poll(() => events, SOON).toEqual(["lost", "STORAGE_UNAVAILABLE"]);
});

/** Speaks as the test says. */
async function fakeServer(greet: (socket: Socket) => unknown): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    greet(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  opened.push({ stop });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}
