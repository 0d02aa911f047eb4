import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type ConfigSources, loadConfig, readConfig, variableName } from "../../src/base/config.ts";
import { natsServersOf } from "../../src/base/config-nats.ts";
import { configSchema } from "../../src/base/config-schema.ts";
import { CaxtonError } from "../../src/base/errors.ts";
import { settingsOf } from "../../src/base/schema.ts";

const folder = mkdtempSync(join(tmpdir(), "caxton-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;

function yaml(text: string): ConfigSources {
  const file = join(folder, `${files++}.yaml`);
  writeFileSync(file, text);
  return { file };
}

function refusal(sources: ConfigSources): CaxtonError {
  try {
    loadConfig(sources);
  } catch (error) {
    if (error instanceof CaxtonError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

function findings(sources: ConfigSources): string[] {
  const error = refusal(sources);
  expect(error.code).toBe("INVALID_CONFIG");
  return error.findings.map(({ at, message, hint }) =>
    [`${at}: ${message}`, ...(hint === undefined ? [] : [hint])].join(" | "),
  );
}

/** What a setting needs beside it, so that it contradicts nothing. */
function besides(path: string): Record<string, string> {
  if (!path.startsWith("storage.nats.")) return {};
  const engine = { CAXTON_STORAGE_ENGINE: "jetstream" };
  if (/\.(servers|clientPasswordFile|cluster)$/.test(path)) return engine;
  return {
    ...engine,
    CAXTON_STORAGE_NATS_SERVERS: "localhost",
    ...(path.endsWith(".passwordFile") && { CAXTON_STORAGE_NATS_USER: "caxton" }),
    ...(path.endsWith(".cert") && { CAXTON_STORAGE_NATS_TLS_KEY: "key.pem" }),
    ...(path.endsWith(".key") && { CAXTON_STORAGE_NATS_TLS_CERT: "cert.pem" }),
  };
}

describe("values", () => {
  test("nothing given: the documented defaults", () => {
    const config = loadConfig({});
    expect(config.api).toEqual({
      grpc: {
        host: "127.0.0.1",
        port: 50051,
        streamsMax: 10_000,
        keepAliveMs: 7_200_000,
        keepAliveTimeoutMs: 20_000,
        connectionAgeMs: 0,
        connectionAgeGraceMs: 30_000,
      },
      drainMs: 2000,
      rest: { host: "127.0.0.1", port: 8080, corsOrigins: "" },
      http: { host: "127.0.0.1", port: 9090 },
    });
    expect(config.storage.directory).toBe(resolve(".caxton"));
    expect(config.partitions.count).toBe(16);
    expect(config.workers.count).toBeGreaterThan(0);
    expect(config.limits).toMatchObject({
      messageBytesMax: 262_144,
      effectsBytesMax: 524_288,
      frameBytesMax: 1_032_192,
      dedupWindowMs: 120_000,
    });
    expect(config.node.id).toMatch(/^[a-z0-9-]{1,63}$/);
  });

  test("an empty file and a file of comments are the defaults", () => {
    expect(loadConfig(yaml(""))).toEqual(loadConfig({}));
    expect(loadConfig(yaml("# nothing\n"))).toEqual(loadConfig({}));
  });

  test("file, then environment, then --set", () => {
    const sources = {
      ...yaml("api: {grpc: {port: 1001}, http: {port: 1002}}\nlog: {level: warn}\n"),
      env: { CAXTON_API_GRPC_PORT: "2001", CAXTON_API_HTTP_PORT: "2002" },
      sets: ["api.http.port=3002"],
    };
    const config = loadConfig(sources);
    expect(config.api.grpc.port).toBe(2001);
    expect(config.api.http.port).toBe(3002);
    expect(config.log.level).toBe("warn");
  });

  test("the collector's common variable counts, and the server's own wins", () => {
    const common = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };
    const file = yaml("tracing: {endpoint: 'http://127.0.0.1:1'}");
    const { config, origins } = readConfig({ ...file, env: common });
    expect(config.tracing.endpoint).toBe("http://127.0.0.1:4318");
    expect(origins.get("tracing.endpoint")).toBe("environment");
    const env = { ...common, CAXTON_TRACING_ENDPOINT: "http://127.0.0.1:2" };
    expect(loadConfig({ env }).tracing.endpoint).toBe("http://127.0.0.1:2");
  });

  test("a text setting keeps its text, digits or not", () => {
    const config = loadConfig({ env: { CAXTON_NODE_ID: "12345" }, sets: ["storage.directory=7"] });
    expect(config.node.id).toBe("12345");
    expect(config.storage.directory).toBe(resolve("7"));
  });

  test("the result is frozen throughout", () => {
    const config = loadConfig({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.api.grpc)).toBe(true);
    expect(Object.isFrozen(config.limits)).toBe(true);
  });

  test.each(settingsOf(configSchema))("$path can be set from the environment", (setting) => {
    const takesUrl = /^tracing\.endpoint$|Origins$/.test(setting.path);
    const text = takesUrl ? "http://localhost" : "localhost";
    const env = { ...besides(setting.path), [variableName(setting.path)]: text };
    if (setting.type === "string" && setting.choices.length === 0) {
      const leaf = setting.path
        .split(".")
        .reduce<unknown>(
          (value, key) => (value as Record<string, unknown>)[key],
          loadConfig({ env }),
        );
      expect(leaf).toMatch(/localhost$/);
    } else {
      expect(findings({ env })).toEqual([expect.stringMatching(`^${setting.path}: expected`)]);
    }
  });

  test("variables of orchestrators are left alone", () => {
    const env = {
      CAXTON_SERVICE_HOST: "10.0.0.1",
      CAXTON_PORT: "tcp://10.0.0.1:50051",
      CAXTON_PORT_50051_TCP_ADDR: "10.0.0.1",
      CAXTON_ENDPOINT: "elsewhere:1",
    };
    expect(loadConfig({ env })).toEqual(loadConfig({}));
  });
});

describe("refusals name the key and the way out", () => {
  test.each([
    [
      "an unknown key",
      "storage: {directroy: x}",
      'storage.directroy: unknown key | Did you mean "directory"?',
    ],
    [
      "an unknown key that is near to nothing",
      "log: {zzzzzz: 1}",
      "log.zzzzzz: unknown key | Known here: level, format, slowTurnMs.",
    ],
    ["an unknown section", "limit: {}", 'limit: unknown key | Did you mean "limits"?'],
    [
      "a text for a number",
      "api: {grpc: {port: http}}",
      'api.grpc.port: expected a number, found "http"',
    ],
    ["a fraction", "api: {grpc: {port: 1.5}}", "api.grpc.port: expected a whole number, found 1.5"],
    ["too much", "api: {grpc: {port: 70000}}", "api.grpc.port: must be at most 65535, found 70000"],
    ["too little", "limits: {askChainMax: 0}", "limits.askChainMax: must be at least 1, found 0"],
    ["no section", "api: 5", "api: expected keys with values, found 5"],
    [
      "an unknown choice",
      "log: {level: inof}",
      'log.level: expected one of "debug", "info", "warn", "error", "silent", found "inof" | Did you mean "info"?',
    ],
    ["no power of two", "partitions: {count: 12}", "partitions.count: must be a power of two"],
    [
      "no URL for a collector",
      "tracing: {endpoint: 'localhost:4318'}",
      "tracing.endpoint: must be an http:// or https:// URL without user and password",
    ],
    [
      "a password in a URL",
      "tracing: {endpoint: 'http://a:b@localhost:4318'}",
      "tracing.endpoint: must be an http:// or https:// URL without user and password",
    ],
    ["a bad node id", "node: {id: Node_1}", "node.id: must be 1 to 63 of a-z, 0-9 and -"],
    [
      "an origin with a path",
      "api: {rest: {corsOrigins: 'https://a.example, https://b.example/x'}}",
      "api.rest.corsOrigins: must be origins such as https://example.org, separated by commas, or *",
    ],
    [
      "more workers than partitions",
      "{workers: {count: 9}, partitions: {count: 8}}",
      "workers.count: must be at most partitions.count (8), found 9",
    ],
    [
      "effects that fill a frame",
      "limits: {effectsBytesMax: 524288, frameBytesMax: 524288}",
      "limits.effectsBytesMax: must be at least 131072 below limits.frameBytesMax (524288), found 524288",
    ],
    [
      "a message no turn could send",
      "limits: {messageBytesMax: 300000, effectsBytesMax: 290000}",
      "limits.messageBytesMax: must be at most limits.effectsBytesMax (290000), found 300000",
    ],
    [
      "one port twice",
      "api: {http: {port: 50051}}",
      "api.http.port: is the same as api.grpc.port (50051)",
    ],
  ])("%s", (_, text, expected) => {
    expect(findings(yaml(text))).toEqual([expected]);
  });

  test("all of them at once", () => {
    const sources = {
      ...yaml("api: {grpc: {prot: 1}}\nlog: {level: loud}\nextra: 1\n"),
      env: { CAXTON_STORAGE_DIRECTROY: "x", CAXTON_WORKERS_COUNT: "many" },
      sets: ["api.grcp.port=1", "nonsense"],
    };
    expect(findings(sources)).toEqual([
      "CAXTON_STORAGE_DIRECTROY: unknown environment variable | Did you mean CAXTON_STORAGE_DIRECTORY?",
      'api.grcp.port: unknown key | Did you mean "api.grpc.port"?',
      "--set nonsense: expected key=value",
      'api.grpc.prot: unknown key | Did you mean "port"?',
      'workers.count: expected a number, found "many"',
      expect.stringContaining("log.level: expected one of"),
      expect.stringContaining("extra: unknown key"),
    ]);
  });

  test("a file that is no YAML, with the place", () => {
    const [finding] = findings(yaml("api:\n  grpc: {port: 1\n"));
    expect(finding).toMatch(/\.yaml line \d+, column \d+: /);
  });

  test("a key twice", () => {
    expect(findings(yaml("insecure: true\ninsecure: true\n"))[0]).toMatch(
      /line 2, column 1: .*unique/,
    );
  });

  test("a file that is a list", () => {
    expect(findings(yaml("- 1\n"))[0]).toContain("expected keys with values");
  });

  test("a file that is not there", () => {
    expect(findings({ file: join(folder, "absent.yaml") })[0]).toContain("ENOENT");
  });
});

describe("the storage engine", () => {
  const jetstream = (nats: string) => yaml(`storage: {engine: jetstream, nats: {${nats}}}`);

  test("jetstream without servers has a nats-server of its own", () => {
    const { engine, nats } = loadConfig({ sets: ["storage.engine=jetstream"] }).storage;
    expect(engine).toBe("jetstream");
    expect(nats).toMatchObject({ managed: true, port: 0, durability: "durable", replicas: 1 });
    expect(loadConfig({}).storage.nats.managed).toBe(false);
  });

  test("given servers are used instead", () => {
    const servers = "nats://10.0.0.1:4222, tls://example.org, [::1]:4222";
    const { nats } = loadConfig(jetstream(`servers: "${servers}", replicas: 3`)).storage;
    expect(nats).toMatchObject({ managed: false, servers, replicas: 3 });
    expect(natsServersOf(nats.servers)).toEqual(servers.split(", "));
  });

  test("defaults that are written out contradict nothing", () => {
    const nats = "{managed: false, servers: '', port: 0, durability: durable, replicas: 1}";
    expect(loadConfig(yaml(`storage: {engine: embedded, nats: ${nats}}`))).toEqual(loadConfig({}));
  });

  test.each([
    [
      "a URL with a password",
      "servers: 'nats://a:b@host:4222'",
      "servers: must be servers such as",
    ],
    ["a port out of range", "servers: 'host:70000'", "servers: must be servers such as"],
    ["two copies", "servers: host, replicas: 2", "replicas: must be 1 or 3"],
    ["an unfit name", "cluster: 'a.b'", "cluster: must be 1 to 32 of"],
    [
      "managed and servers",
      "managed: true, servers: host",
      "servers: is for given servers, but the node starts its own (storage.nats.managed)",
    ],
    ["managed and credentials", "user: a", "user: is for given servers"],
    ["managed and TLS", "tls: {ca: ca.pem}", "tls.ca: is for given servers"],
    ["managed in three copies", "replicas: 3", "replicas: is for given servers"],
    [
      "neither managed nor servers",
      "managed: false",
      "servers: is empty, and storage.nats.managed",
    ],
    ["a port of given servers", "servers: host, port: 4222", "port: is for the node's own"],
    [
      "two ways in",
      "servers: host, user: a, tokenFile: t",
      "tokenFile: is given beside storage.nats.user; one is enough",
    ],
    [
      "a password of nobody",
      "servers: host, passwordFile: p",
      "passwordFile: is given without storage.nats.user",
    ],
    [
      "a certificate without its key",
      "servers: host, tls: {cert: c.pem}",
      "tls.key: is missing beside storage.nats.tls.cert",
    ],
  ])("%s is refused", (_, nats, expected) => {
    expect(findings(jetstream(nats))).toEqual([
      expect.stringMatching(new RegExp(`^storage\\.nats\\.${expected.replace(/[().]/g, "\\$&")}`)),
    ]);
  });

  test("settings of NATS with the embedded engine are refused", () => {
    expect(findings(yaml("storage: {nats: {managed: true, durability: fast}}"))).toEqual([
      "storage.nats.managed: is given, but storage.engine is embedded | Set storage.engine to jetstream, or leave this out.",
      "storage.nats.durability: is given, but storage.engine is embedded | Set storage.engine to jetstream, or leave this out.",
    ]);
  });

  test("the variables of NATS that are no settings are not taken for typos", () => {
    const names = ["CAXTON_NATS_SERVER", "CAXTON_NATS_PASSWORD", "CAXTON_NATS_TOKEN"];
    const env = Object.fromEntries(names.map((name) => [name, "x"]));
    expect(loadConfig({ env })).toEqual(loadConfig({}));
  });
});

describe("listening beyond this machine", () => {
  test.each(["0.0.0.0", "::", "192.0.2.1", "example.org"])("%s is refused", (host) => {
    const error = refusal({ sets: [`api.grpc.host=${host}`] });
    expect(error.code).toBe("INSECURE_BIND");
    expect(error.findings.map(({ at }) => at)).toEqual(["api.grpc.host"]);
  });

  test("both listeners are named", () => {
    const error = refusal({ sets: ["api.grpc.host=0.0.0.0", "api.http.host=0.0.0.0"] });
    expect(error.findings.map(({ at }) => at)).toEqual(["api.grpc.host", "api.http.host"]);
  });

  test.each(["127.0.0.1", "127.1.2.3", "::1", "localhost"])("%s is this machine", (host) => {
    expect(loadConfig({ sets: [`api.grpc.host=${host}`] }).api.grpc.host).toBe(host);
  });

  test("--insecure allows it", () => {
    const config = loadConfig({ sets: ["api.grpc.host=0.0.0.0"], insecure: true });
    expect(config.api.grpc.host).toBe("0.0.0.0");
  });
});
