/** From a component to the one core module that is run for it, or to what speaks against that. */
import type { Finding } from "../../../base/errors.ts";
import { nearest } from "../../../base/nearest.ts";
import { FormatError } from "../rewrite/byte-reader.ts";
import { Findings } from "../rewrite/findings.ts";
import { parseModule } from "../rewrite/parse-module.ts";
import {
  ComponentRefused,
  type CanonicalOptions,
  type ComponentFunction,
  type ComponentModel,
} from "./component-model.ts";
import { parseComponent } from "./parse-component.ts";
import { Wiring, type Target } from "./wiring.ts";
import type { WitFunction } from "./wit-types.ts";
import {
  HOST_FUNCTIONS,
  HOST_INTERFACE,
  OPTIONAL_FUNCTIONS,
  REQUIRED_FUNCTIONS,
  TYPES_INTERFACE,
} from "./world.ts";

export interface UnwrappedComponent {
  readonly findings: readonly Finding[];
  /** The core module, when there is one to go on with. */
  readonly module: Uint8Array | undefined;
}

type Lifted = Extract<ComponentFunction, { kind: "lifted" }>;

const WORLD_HINT = "sdk/wit/caxton-agent.wit is the world that a component has to fit.";
const STANDARD_HINT =
  "Build it with the standard tools (wit-bindgen, wasm-tools component new), as one core module.";
const WASI_MODULE = "wasi_snapshot_preview1";

/** Never throws on account of the component. */
export function unwrapComponent(bytes: Uint8Array): UnwrappedComponent {
  const findings = new Findings();
  try {
    const module = new ComponentCheck(bytes, parseComponent(bytes), findings).run();
    return { findings: findings.list(), module };
  } catch (error) {
    if (error instanceof ComponentRefused) findings.add("component", error.message, error.hint);
    else if (error instanceof FormatError) {
      findings.add(
        "component",
        `The component ${error.message} (at byte ${error.offset}).`,
        "Build the component again; the file may be truncated.",
      );
    } else throw error;
    return { findings: findings.list(), module: undefined };
  }
}

class ComponentCheck {
  readonly #model: ComponentModel;
  readonly #findings: Findings;
  readonly #wiring: Wiring;

  constructor(bytes: Uint8Array, model: ComponentModel, findings: Findings) {
    this.#model = model;
    this.#findings = findings;
    this.#wiring = new Wiring(bytes, model);
  }

  run(): Uint8Array | undefined {
    this.#checkHostInterface();
    const instance = this.#checkExports();
    this.#checkMemories();
    if (instance === undefined) return undefined;
    const main = this.#model.coreInstances[instance];
    const bytes = main?.kind === "module" ? this.#wiring.moduleBytes(main.module) : undefined;
    if (main?.kind !== "module" || bytes === undefined) {
      this.#add("component", "Its functions come from no core module of its own.", STANDARD_HINT);
      return undefined;
    }
    this.#checkImports(bytes, main.imports);
    return bytes;
  }

  #add(at: string, message: string, hint: string): void {
    this.#findings.add(at, message, hint);
  }

  /** The functions that it imports of the host have to be the host's. */
  #checkHostInterface(): void {
    for (const instance of this.#model.instances) {
      if (instance.kind !== "import" || instance.name !== HOST_INTERFACE) continue;
      for (const [name, type] of instance.exports) {
        if (type.kind !== "function") continue;
        const at = `import ${HOST_INTERFACE}#${name}`;
        const known = functionNamed(HOST_FUNCTIONS, name);
        if (known !== undefined) this.#checkType(at, name, type.text, known);
        else {
          const guess = nearest(name, Object.keys(HOST_FUNCTIONS));
          this.#add(
            at,
            `The component imports ${name} from ${HOST_INTERFACE}, which has no such function.`,
            guess === undefined ? WORLD_HINT : `Did you mean ${guess}? ${WORLD_HINT}`,
          );
        }
      }
    }
  }

  #checkType(at: string, name: string, found: string, { text }: WitFunction): void {
    if (found === text) return;
    this.#add(at, `The component has ${name} as ${found}; it must be ${text}.`, WORLD_HINT);
  }

  /** The core instance that all functions of the world come from. */
  #checkExports(): number | undefined {
    let instance: number | undefined;
    for (const [name, type] of Object.entries(REQUIRED_FUNCTIONS)) {
      if (this.#model.exports.has(name)) instance = this.#checkExport(name, type, undefined);
      else {
        const others = [...this.#model.exports.keys()].join(", ") || "nothing";
        this.#add(
          `export ${name}`,
          `The component does not export the function ${name}; it exports ${others}.`,
          WORLD_HINT,
        );
      }
    }
    for (const [name, type] of Object.entries(OPTIONAL_FUNCTIONS)) {
      if (this.#model.exports.has(name)) this.#checkExport(name, type, instance);
    }
    return instance;
  }

  #checkExport(name: string, type: WitFunction, main: number | undefined): number | undefined {
    const at = `export ${name}`;
    const item = this.#model.exports.get(name)!;
    const found = item.sort === "function" ? this.#model.functions[item.index] : undefined;
    if (found?.kind !== "lifted") {
      this.#add(at, `The component exports ${name} as no function of its own.`, STANDARD_HINT);
      return undefined;
    }
    if (found.type?.kind === "function") this.#checkType(at, name, found.type.text, type);
    const core = this.#model.coreFunctions[found.core];
    const instance = core?.kind === "export" ? core.instance : undefined;
    if (instance === undefined || (main !== undefined && instance !== main)) {
      this.#add(at, `The component has ${name} in another core module than handle.`, STANDARD_HINT);
      return undefined;
    }
    this.#checkLifting(at, name, found, instance);
    return instance;
  }

  /** The host calls the core module's functions by the names that all tools give them. */
  #checkLifting(at: string, name: string, { core, options }: Lifted, instance: number): void {
    const { realloc, postReturn } = options;
    this.#checkOptions(at, options, instance);
    const wanted: [number | undefined, string][] = [
      [core, name],
      [realloc, "cabi_realloc"],
      [postReturn, `cabi_post_${name}`],
    ];
    for (const [index, coreName] of wanted) {
      if (index === undefined) continue;
      const found = this.#model.coreFunctions[index];
      if (found?.kind === "export" && found.instance === instance && found.name === coreName) {
        continue;
      }
      this.#add(at, `The component gives ${name} another ${coreName} than its own.`, STANDARD_HINT);
    }
  }

  #checkOptions(at: string, options: CanonicalOptions, instance: number): void {
    if (options.isAsync) {
      this.#add(
        at,
        `The component has ${at.replace(/^\w+ /, "")} as an async function.`,
        "Build it without async: what takes time here is an effect whose answer comes as a message.",
      );
    }
    if (options.encoding !== "utf8") {
      this.#add(at, `The component passes text as ${options.encoding}.`, "Build it for UTF-8.");
    }
    const { memory } = options;
    if (memory !== undefined && this.#model.coreMemories[memory]?.instance !== instance) {
      this.#add(
        at,
        "The component passes values in the memory of another core module.",
        STANDARD_HINT,
      );
    }
  }

  #checkMemories(): void {
    const owners = this.#model.modules.flatMap((_, module) => {
      const { memories, imports } = parseModule(this.#wiring.moduleBytes(module)!, new Findings());
      const imported = imports.filter(({ kind }) => kind === "memory").length;
      return memories.length > imported ? [module] : [];
    });
    if (owners.length < 2) return;
    this.#add(
      "component",
      `The component has ${owners.length} core modules with a memory each (${owners.join(", ")}); one is run.`,
      STANDARD_HINT,
    );
  }

  /** Every import of the core module has to be what its name says. */
  #checkImports(bytes: Uint8Array, sources: ReadonlyMap<string, number>): void {
    const { imports } = parseModule(bytes, new Findings());
    for (const { module, name, kind } of imports) {
      // The server has that module of WASI itself; the adapter that stands for it in a component is not run.
      if (kind !== "function" || module === WASI_MODULE) continue;
      const instance = sources.get(module);
      const target = instance === undefined ? undefined : this.#wiring.follow({ instance, name });
      this.#checkTarget(module, name, target ?? { kind: "unknown" });
    }
  }

  #checkTarget(module: string, name: string, target: Target): void {
    const at = `import ${module}.${name}`;
    switch (target.kind) {
      case "import":
        if (target.from !== HOST_INTERFACE) this.#refuseInterface(target);
        else if (target.from !== module || target.name !== name) {
          this.#add(
            at,
            `Its core module gets ${target.name ?? "a function"} under the name ${module}.${name}.`,
            STANDARD_HINT,
          );
        }
        break;
      case "builtin":
        this.#add(at, `The component uses resources (${target.name}).`, WORLD_HINT);
        break;
      case "module":
        this.#add(
          at,
          `Its main core module calls ${module}.${name} of core module ${target.module}; one that stands alone is run.`,
          STANDARD_HINT,
        );
        break;
      case "unknown":
        this.#add(at, `The component gives its core module no ${module}.${name}.`, STANDARD_HINT);
    }
  }

  #refuseInterface({ from, name }: Extract<Target, { kind: "import" }>): void {
    const guess = nearest(from, [HOST_INTERFACE, TYPES_INTERFACE]);
    const isWasi = from.startsWith("wasi:");
    const wasi = "Of WASI an agent gets what wasi_snapshot_preview1 has: build for that (wasip1). ";
    this.#add(
      `import ${from}`,
      `The component needs ${name ?? "the function"} of ${from}, which the server does not have.`,
      `${guess === undefined ? "" : `Did you mean ${guess}? `}${isWasi ? wasi : ""}${WORLD_HINT}`,
    );
  }
}

function functionNamed(
  functions: Readonly<Record<string, WitFunction>>,
  name: string,
): WitFunction | undefined {
  return Object.hasOwn(functions, name) ? functions[name] : undefined;
}
