/** Histograms of agents that the kernel counts, and this only shows. */
import type { Metric, Registry } from "prom-client";
import type { Distribution } from "../actors/index.ts";

interface Value {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export class DistributionMetric {
  readonly name: string;
  readonly help: string;
  #byAgent = new Map<string, Distribution>();

  constructor(name: string, help: string, registry: Registry) {
    this.name = name;
    this.help = help;
    // The registry asks a metric for its name and what `get` gives, and is typed for its own classes only.
    registry.registerMetric(this as unknown as Metric);
  }

  reset(): void {
    this.#byAgent = new Map();
  }

  add(agent: string, added: Distribution): void {
    const { bounds, counts, sum } = this.#byAgent.get(agent) ?? {
      bounds: added.bounds,
      counts: added.counts.map(() => 0),
      sum: 0,
    };
    const total = counts.map((count, i) => count + added.counts[i]!);
    this.#byAgent.set(agent, { bounds, counts: total, sum: sum + added.sum });
  }

  get(): Promise<{ name: string; help: string; type: string; values: Value[] }> {
    const values = [...this.#byAgent].flatMap(([agent, shown]) => this.#valuesOf(agent, shown));
    return Promise.resolve({ name: this.name, help: this.help, type: "histogram", values });
  }

  #valuesOf(agent: string, { bounds, counts, sum }: Distribution): Value[] {
    const { name } = this;
    let count = 0;
    const buckets = counts.map((added, i) => {
      const le = i < bounds.length ? bounds[i]! : "+Inf";
      return { metricName: `${name}_bucket`, labels: { agent, le }, value: (count += added) };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: { agent }, value: sum },
      { metricName: `${name}_count`, labels: { agent }, value: count },
    ];
  }
}
