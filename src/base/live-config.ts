/**
 * The configuration in force.
 *
 * Owns it, and where each value comes from.
 * 1. A reload reads the same sources again and changes what is reloadable, all of it or, when anything is wrong
 *    with them, nothing.
 */
import {
  type ConfigSource,
  type ConfigSources,
  readConfig,
  type LoadedConfig,
  valueAt,
} from "./config.ts";
import { type Config, configSchema } from "./config-schema.ts";
import { deepFreeze, type Setting, settingsOf } from "./schema.ts";

export interface SettingInForce {
  readonly key: string;
  /** As JSON. */
  readonly value: string;
  readonly source: ConfigSource;
  readonly reloadable: boolean;
}

/** Values as JSON. */
export interface SettingChange {
  readonly key: string;
  readonly before: string;
  readonly after: string;
}

export interface ReloadReport {
  readonly applied: readonly SettingChange[];
  /** Changed in the sources, and ignored until the next start. */
  readonly needsRestart: readonly SettingChange[];
}

export class LiveConfig {
  readonly #sources: ConfigSources;
  readonly #settings: readonly Setting[] = settingsOf(configSchema);
  readonly #listeners: ((config: Config) => void)[] = [];
  #loaded: LoadedConfig;

  /** Throws as `loadConfig` does. */
  constructor(sources: ConfigSources) {
    this.#sources = sources;
    this.#loaded = readConfig(sources);
  }

  get current(): Config {
    return this.#loaded.config;
  }

  /** Called after every reload that changed something. */
  onChange(listener: (config: Config) => void): void {
    this.#listeners.push(listener);
  }

  settings(): SettingInForce[] {
    const { config, origins } = this.#loaded;
    return this.#settings.map(({ path, isReloadable }) => ({
      key: path,
      value: textAt(config, path),
      source: origins.get(path) ?? "default",
      reloadable: isReloadable,
    }));
  }

  /** Throws as `loadConfig` does, and then nothing has changed. */
  reload(): ReloadReport {
    const next = readConfig(this.#sources);
    const applied: SettingChange[] = [];
    const needsRestart: SettingChange[] = [];
    const config = structuredClone(this.current);
    const origins = new Map(this.#loaded.origins);
    for (const { path, isReloadable } of this.#settings) {
      const change = {
        key: path,
        before: textAt(this.current, path),
        after: textAt(next.config, path),
      };
      if (isReloadable) {
        put(config, path, valueAt(next.config, path));
        origins.set(path, next.origins.get(path) ?? "default");
      }
      if (change.before !== change.after) (isReloadable ? applied : needsRestart).push(change);
    }
    this.#loaded = { config: deepFreeze(config), origins };
    if (applied.length > 0) for (const listener of this.#listeners) listener(config);
    return { applied, needsRestart };
  }
}

function textAt(config: Config, path: string): string {
  // An optional setting may have no value.
  return JSON.stringify(valueAt(config, path) ?? null);
}

function put(config: Config, path: string, value: unknown): void {
  const parts = path.split(".");
  const last = parts.pop()!;
  (valueAt(config, parts.join(".")) as Record<string, unknown>)[last] = value;
}
