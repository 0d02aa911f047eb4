/** A compiled rewritten module and what instances of it need. Plain data: main gives it to every worker. */
import type { Door } from "./doors.ts";
import { writeDelta } from "./memory-delta.ts";
import type { MemoryDelta, MemoryImage } from "./memory-delta.ts";
import { HOST_EXPORT } from "./rewrite/host-exports.ts";

export interface LoadedModule {
  readonly module: WebAssembly.Module;
  readonly door: Door;
  /** Export names of the mutable globals. */
  readonly globals: readonly string[];
  /** Live memory can't be rebuilt from an image, only by replay. */
  readonly replayOnly: boolean;
  /**
   * From a fresh instance to an initialised one. Undefined for replay-only modules, whose instances run
   * their initialisation.
   */
  readonly template: MemoryDelta | undefined;
  /** From places in its program to its author's files; undefined where there is no program. */
  readonly sourceMap: string | undefined;
}

const images = new WeakMap<MemoryDelta, MemoryImage>();

/** The whole memory that a template stands for, what snapshots are compared with; made once a thread. */
export function templateImage(loaded: LoadedModule, template: MemoryDelta): MemoryImage {
  let image = images.get(template);
  if (image === undefined) {
    const pages = Buffer.alloc(template.memoryBytes);
    pages.set(freshMemory(loaded.module));
    writeDelta(template, pages);
    image = { pages, globals: template.globals };
    images.set(template, image);
  }
  return image;
}

/** What the data segments make of memory. Instantiation runs none of the module's code. */
function freshMemory(module: WebAssembly.Module): Uint8Array {
  const imports: Record<string, Record<string, () => void>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] = () => undefined;
  }
  const { exports } = new WebAssembly.Instance(module, imports);
  return new Uint8Array((exports[HOST_EXPORT.memory] as WebAssembly.Memory).buffer);
}
