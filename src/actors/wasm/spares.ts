/**
 * Instances whose actors left memory, for those that come next. To make and to collect an instance costs far more
 * than to clean one, and V8 collects the whole heap when many memories come and go.
 *
 * Owns them.
 * 1. A spare is as if its module had just been initialised: memory and globals are the template's, and a module
 *    that changes anything else (tables, segments) has no template.
 * 2. There are at most SPARES_MAX.
 */
import type { WasmInstance } from "./instance.ts";
import { templateImage } from "./loaded-module.ts";
import type { LoadedModule } from "./loaded-module.ts";

const SPARES_MAX = 1024;

export class Spares {
  private readonly byModule = new Map<LoadedModule, WasmInstance[]>();
  private count = 0;

  /** Takes in an instance that nobody uses any more and in which no turn failed. */
  give(loaded: LoadedModule, instance: WasmInstance): void {
    if (this.count >= SPARES_MAX || loaded.template === undefined) return;
    if (!instance.resetTo(templateImage(loaded, loaded.template))) return;
    const spares = this.byModule.get(loaded);
    if (spares === undefined) this.byModule.set(loaded, [instance]);
    else spares.push(instance);
    this.count++;
  }

  take(loaded: LoadedModule): WasmInstance | undefined {
    const spares = this.byModule.get(loaded);
    const spare = spares?.pop();
    if (spare === undefined) return undefined;
    if (spares!.length === 0) this.byModule.delete(loaded);
    this.count--;
    return spare;
  }
}
