/**
 * The server's configuration: raw (file, then CAXTON_* variables, then --set) -> checked, with defaults
 * -> compiled and frozen. The keys stand in config-schema.ts.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import { resolve } from "node:path";
import type { z } from "zod";
import { compileNats, natsConflicts } from "./config-nats.ts";
import { type Config, configSchema } from "./config-schema.ts";
import { CaxtonError, ensureError, type Finding } from "./errors.ts";
import { didYouMean, nearest } from "./nearest.ts";
import { checkWith, deepFreeze, parseMapping, type Setting, settingsOf } from "./schema.ts";

export interface ConfigSources {
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `key=value` pairs; they win over everything else. */
  readonly sets?: readonly string[];
  readonly insecure?: boolean;
}

export type ConfigSource = "default" | "file" | "environment" | "flag";

export interface LoadedConfig {
  readonly config: Config;
  /** Where settings come from, by path; those not in here have their defaults. */
  readonly origins: ReadonlyMap<string, ConfigSource>;
}

/** Throws INVALID_CONFIG with every finding, or INSECURE_BIND. */
export function loadConfig(sources: ConfigSources): Config {
  return readConfig(sources).config;
}

/** As `loadConfig`, and says where each value comes from. */
export function readConfig(sources: ConfigSources): LoadedConfig {
  const raw = sources.file === undefined ? {} : readConfigFile(sources.file);
  const settings = settingsOf(configSchema);
  const origins = originsOf(settings, raw, sources);
  const findings = [
    ...applyVariables(raw, sources.env ?? {}, settings),
    ...applySets(raw, sources.sets ?? [], settings),
  ];
  if (sources.insecure === true) raw["insecure"] = true;
  return { config: compileConfig(raw, findings, settings), origins };
}

/** `file`: before anything else was put into it. */
function originsOf(
  settings: readonly Setting[],
  file: Record<string, unknown>,
  { env = {}, sets = [], insecure }: ConfigSources,
): ReadonlyMap<string, ConfigSource> {
  const origins = new Map<string, ConfigSource>();
  for (const { path } of settings) {
    if (valueAt(file, path) !== undefined) origins.set(path, "file");
    const names = [variableName(path), COMMON_VARIABLES[path] ?? ""];
    if (names.some((name) => env[name] !== undefined)) origins.set(path, "environment");
  }
  for (const pair of sets) origins.set(pair.split("=")[0]!, "flag");
  if (insecure === true) origins.set("insecure", "flag");
  return origins;
}

/** The value of a setting; undefined where there is none. */
export function valueAt(config: unknown, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((here, part) => (here as Record<string, unknown> | undefined)?.[part], config);
}

/** Variables that other programs know, too. A CAXTON_* variable of the same setting wins. */
const COMMON_VARIABLES: Readonly<Record<string, string>> = {
  "tracing.endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
};

/** Variables of ours that are no settings. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  "CAXTON_ENDPOINT",
  "CAXTON_NATS_PASSWORD",
  "CAXTON_NATS_SERVER",
  "CAXTON_NATS_TOKEN",
]);

/** The name of a setting's environment variable: `api.grpc.port` -> `CAXTON_API_GRPC_PORT`. */
export function variableName(path: string): string {
  return `CAXTON_${path.replace(/[A-Z]/g, "_$&").replaceAll(".", "_").toUpperCase()}`;
}

const LOG_BYTES = 64 * 1024 * 1024;

function compileConfig(
  raw: Record<string, unknown>,
  earlier: readonly Finding[],
  settings: readonly Setting[],
): Config {
  const checked = checkWith(configSchema, raw);
  const findings = [...earlier, ...(checked.ok ? [] : checked.findings)];
  if (!checked.ok || findings.length > 0) throw invalid(findings);
  const { value } = checked;
  const workers = value.workers.count ?? Math.min(availableParallelism(), value.partitions.count);
  const config: Config = {
    ...value,
    node: { id: value.node.id ?? hostNodeId() },
    storage: compileStorage(value.storage),
    workers: { count: workers },
    snapshots: { ...value.snapshots, logBytesMax: value.snapshots.logBytesMax ?? logShare(value) },
    retention: {
      ...value.retention,
      logBytesMax: value.retention.logBytesMax ?? retainedShare(value),
    },
  };
  const given = new Set(settings.filter((each) => isGiven(raw, each)).map(({ path }) => path));
  const conflicts = [
    ...conflictsIn(config),
    ...natsConflicts(config.storage.engine, config.storage.nats, given),
  ];
  if (conflicts.length > 0) throw invalid(conflicts);
  refuseInsecureBind(config);
  return deepFreeze(config);
}

function compileStorage(storage: z.output<typeof configSchema>["storage"]): Config["storage"] {
  const nats = compileNats(storage.engine, storage.nats);
  return { ...storage, directory: resolve(storage.directory), nats };
}

/** A default that is written out is as good as none: it contradicts nothing. */
function isGiven(raw: unknown, { path, defaultText }: Setting): boolean {
  const value = valueAt(raw, path);
  if (value === undefined || value === "" || value === false) return false;
  return JSON.stringify(value) !== defaultText;
}

/** Checkpoints come before the log is full. */
function logShare({ storage, partitions }: z.output<typeof configSchema>): number {
  return Math.min(LOG_BYTES, Math.floor(storage.sizeBytesMax / partitions.count / 4));
}

const RETAINED_BYTES = 512 * 1024 * 1024;

function retainedShare({ storage }: z.output<typeof configSchema>): number {
  return Math.min(RETAINED_BYTES, Math.floor(storage.sizeBytesMax / 4));
}

/** What an entry of a frame takes besides content or effects: envelope fields and headers. */
export const ENTRY_ROOM_BYTES = 128 * 1024;

const LISTENERS = ["grpc", "rest", "http"] as const;

function conflictsIn(config: Config): Finding[] {
  const findings: Finding[] = [];
  const { limits, workers, partitions, api } = config;
  if (limits.effectsBytesMax + ENTRY_ROOM_BYTES > limits.frameBytesMax) {
    const room = String(ENTRY_ROOM_BYTES);
    const message = `must be at least ${room} below limits.frameBytesMax (${String(limits.frameBytesMax)}), found ${String(limits.effectsBytesMax)}`;
    findings.push({ at: "limits.effectsBytesMax", message });
  }
  if (limits.messageBytesMax > limits.effectsBytesMax) {
    const message = `must be at most limits.effectsBytesMax (${String(limits.effectsBytesMax)}), found ${String(limits.messageBytesMax)}`;
    findings.push({ at: "limits.messageBytesMax", message });
  }
  if (workers.count > partitions.count) {
    const message = `must be at most partitions.count (${String(partitions.count)}), found ${String(workers.count)}`;
    findings.push({ at: "workers.count", message });
  }
  const ports = new Map<number, string>();
  for (const name of LISTENERS) {
    const { port } = api[name];
    const other = ports.get(port);
    if (port === 0) continue;
    if (other === undefined) ports.set(port, name);
    else {
      const message = `is the same as api.${other}.port (${String(port)})`;
      findings.push({ at: `api.${name}.port`, message });
    }
  }
  return findings;
}

function refuseInsecureBind(config: Config): void {
  if (config.insecure) return;
  const findings = LISTENERS.filter((name) => !isLoopback(config.api[name].host)).map((name) => ({
    at: `api.${name}.host`,
    message: `${config.api[name].host} is reachable from other machines`,
  }));
  if (findings.length > 0) throw new CaxtonError("INSECURE_BIND", undefined, { findings });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function hostNodeId(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .slice(0, 63);
  return name === "" ? "node" : name;
}

function readConfigFile(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw invalid([{ at: file, message: ensureError(error).message }]);
  }
  const parsed = parseMapping(text);
  if (!parsed.ok) throw invalid(parsed.findings.map((f) => ({ ...f, at: `${file} ${f.at}` })));
  return parsed.value;
}

function invalid(findings: readonly Finding[]): CaxtonError {
  return new CaxtonError("INVALID_CONFIG", undefined, { findings });
}

/**
 * A CAXTON_* variable that is nearly a setting's is refused as a typo; others are left alone, because
 * orchestrators inject their own (CAXTON_SERVICE_HOST, ...).
 */
function applyVariables(
  raw: Record<string, unknown>,
  env: Readonly<Record<string, string | undefined>>,
  settings: readonly Setting[],
): Finding[] {
  const byName = new Map(settings.map((setting) => [variableName(setting.path), setting]));
  const findings = settings.flatMap((setting) => {
    const text = env[COMMON_VARIABLES[setting.path] ?? ""];
    return text === undefined ? [] : assign(raw, setting, text);
  });
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith("CAXTON_") || OTHER_VARIABLES.has(name) || text === undefined) continue;
    const setting = byName.get(name);
    if (setting !== undefined) {
      findings.push(...assign(raw, setting, text));
      continue;
    }
    const guess = nearest(name, byName.keys());
    if (guess !== undefined) {
      const hint = `Did you mean ${guess}?`;
      findings.push({ at: name, message: "unknown environment variable", hint });
    }
  }
  return findings;
}

function applySets(
  raw: Record<string, unknown>,
  sets: readonly string[],
  settings: readonly Setting[],
): Finding[] {
  const byPath = new Map(settings.map((setting) => [setting.path, setting]));
  return sets.flatMap((pair) => {
    const equals = pair.indexOf("=");
    if (equals < 1) return [{ at: `--set ${pair}`, message: "expected key=value" }];
    const path = pair.slice(0, equals);
    const setting = byPath.get(path);
    if (setting !== undefined) return assign(raw, setting, pair.slice(equals + 1));
    const hint = didYouMean(path, byPath.keys()) ?? "docs/configuration.md lists all keys.";
    return [{ at: path, message: "unknown key", hint }];
  });
}

/** Puts a value given as text at its place. The schema complains about text that is no such value. */
function assign(raw: Record<string, unknown>, setting: Setting, text: string): Finding[] {
  const parts = setting.path.split(".");
  let here = raw;
  for (const part of parts.slice(0, -1)) {
    const inner = here[part] ?? {};
    // A file that has no mapping here is the schema's to refuse.
    if (typeof inner !== "object") return [];
    here = (here[part] = inner) as Record<string, unknown>;
  }
  here[parts.at(-1)!] = typed(setting, text);
  return [];
}

function typed(setting: Setting, text: string): unknown {
  switch (setting.type) {
    case "integer":
    case "number":
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    default:
      return text;
  }
}
