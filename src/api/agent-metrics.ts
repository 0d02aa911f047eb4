/** Figures of single agents. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { AgentInfo, Distribution } from "../actors/index.ts";
import { DistributionMetric } from "./distribution-metric.ts";

/** Agents with figures of their own; those of the others are added up. */
const AGENTS_MAX = 200;
const OTHER_AGENTS = "other";

export class AgentMetrics {
  readonly #updates: readonly ((agents: readonly AgentInfo[]) => void)[];

  constructor(registry: Registry) {
    this.#updates = [
      ...NUMBERS.map((figure) => numberOfAgents(figure, registry)),
      ...DISTRIBUTIONS.map((figure) => distributionOfAgents(figure, registry)),
    ];
  }

  update(agents: readonly AgentInfo[]): void {
    for (const update of this.#updates) update(agents);
  }
}

interface Figure<T> {
  readonly name: string;
  readonly help: string;
  readonly read: (agent: AgentInfo) => T;
}

const NUMBERS: readonly Figure<number>[] = [
  { name: "caxton_agent_actors", help: "Actors of an agent.", read: ({ actors }) => actors },
  {
    name: "caxton_agent_messages_handled_total",
    help: "Messages an agent has handled.",
    read: ({ messagesHandled }) => messagesHandled,
  },
  {
    name: "caxton_agent_messages_failed_total",
    help: "Turns of an agent that failed.",
    read: ({ messagesFailed }) => messagesFailed,
  },
  {
    name: "caxton_agent_memory_bytes",
    help: "Linear memory of an agent's actors that are in the process.",
    read: ({ memoryBytes }) => memoryBytes,
  },
];

const DISTRIBUTIONS: readonly Figure<Distribution>[] = [
  {
    name: "caxton_agent_message_latency_seconds",
    help: "Time from a message's acceptance to the end of the turn that handled it: waiting and running, back-offs included; not the commit after it. Since the agent's workers started.",
    read: ({ turnCosts }) => turnCosts.latencySeconds,
  },
  {
    name: "caxton_agent_turn_duration_seconds",
    help: "Time a turn ran, failed ones included. Since the agent's workers started.",
    read: ({ turnCosts }) => turnCosts.durationSeconds,
  },
  {
    name: "caxton_agent_turn_fuel",
    help: "Fuel a turn used, failed ones included. Since the agent's workers started.",
    read: ({ turnCosts }) => turnCosts.fuel,
  },
];

function numberOfAgents(
  { name, help, read }: Figure<number>,
  registry: Registry,
): (agents: readonly AgentInfo[]) => void {
  const labelNames = ["agent"] as const;
  const options = { name, help, labelNames, registers: [registry] };
  const metric = name.endsWith("_total") ? new Counter(options) : new Gauge(options);
  return (agents) => {
    metric.reset();
    agents.forEach((info, i) => metric.inc({ agent: labelOf(info, i) }, read(info)));
  };
}

function distributionOfAgents(
  { name, help, read }: Figure<Distribution>,
  registry: Registry,
): (agents: readonly AgentInfo[]) => void {
  const metric = new DistributionMetric(name, help, registry);
  return (agents) => {
    metric.reset();
    agents.forEach((info, i) => metric.add(labelOf(info, i), read(info)));
  };
}

function labelOf({ namespace, name }: AgentInfo, i: number): string {
  return i < AGENTS_MAX ? `${namespace}/${name}` : OTHER_AGENTS;
}
