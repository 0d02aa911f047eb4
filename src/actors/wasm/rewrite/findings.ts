import type { Finding } from "../../../base/errors.ts";

/** Enough to mend a module by; a hostile one could have a million. */
const FINDINGS_MAX = 100;

/** Collects what is wrong with a module: each message once, with the first place it was seen. */
export class Findings {
  readonly #list: Finding[] = [];
  readonly #seen = new Set<string>();
  #omitted = 0;

  add(at: string, message: string, hint: string): void {
    if (this.#seen.has(message)) return;
    if (this.#list.length === FINDINGS_MAX) {
      this.#omitted += 1;
      return;
    }
    this.#seen.add(message);
    this.#list.push({ at, message, hint });
  }

  get empty(): boolean {
    return this.#list.length === 0;
  }

  list(): Finding[] {
    if (this.#omitted === 0) return [...this.#list];
    const message = `${this.#omitted} more findings are left out.`;
    return [...this.#list, { at: "module", message }];
  }
}
