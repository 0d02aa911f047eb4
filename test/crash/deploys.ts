/** Deployments under crashes: what was acknowledged must be there afterwards. */
import { fixtureModule, manifest, type Wire } from "../support/wire.ts";
import { COURIER, courierSource } from "./courier.ts";

const AGENTS = 8;
/** Every so many deployments one is of other code for actors that hold memory. */
const COURIER_EVERY = 2;

export class Deploys {
  /** Agent -> version that was acknowledged last. */
  readonly #versions = new Map<string, string>();
  readonly #module = fixtureModule("echo");
  #started = 0;
  acknowledged = 0;
  lost = 0;

  /** The next one; one without acknowledgement is made again, byte by byte. */
  async deploy(wire: Wire): Promise<void> {
    const name = this.#name(this.acknowledged);
    const spec = `{config: {number: "${this.acknowledged}"}}`;
    this.#started = this.acknowledged + 1;
    const { agent } =
      name === COURIER
        ? await wire.deployTypeScript(manifest(name), courierSource(this.acknowledged))
        : await wire.deploy(manifest(name, spec), this.#module);
    this.#versions.set(name, agent!.version);
    this.acknowledged++;
  }

  async check(wire: Wire): Promise<void> {
    const { agents } = await wire.call(wire.agents.listAgents.bind(wire.agents), { namespace: "" });
    const found = new Map(agents.map((agent) => [agent.name, agent.version]));
    const isOpen = this.#started > this.acknowledged;
    for (const [name, version] of this.#versions) {
      // The one without acknowledgement may have come through.
      const isEither = isOpen && name === this.#name(this.acknowledged) && found.has(name);
      if (found.get(name) !== version && !isEither) this.lost++;
    }
  }

  #name(number: number): string {
    return number % COURIER_EVERY === 0 ? COURIER : `extra-${number % AGENTS}`;
  }
}
