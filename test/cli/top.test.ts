import { expect, test } from "vitest";
import { figuresOf, type Look } from "../../cli/top-figures.ts";
import { topLines } from "../../cli/top-view.ts";
import { Agent } from "../../src/gen/caxton/v1/agent.ts";
import { NodeStatus } from "../../src/gen/caxton/v1/node.ts";

function look(atMs: number, turns: readonly number[], handled: Record<string, number>): Look {
  const partitions = turns.map((count, partition) => ({
    ...{ partition, worker: partition % 2, ready: true, turns: count, pendingMessages: 1 },
  }));
  const agents = Object.entries(handled).map(([name, messagesHandled]) =>
    Agent.create({ namespace: "default", name, messagesHandled }),
  );
  const process = { cpuSeconds: atMs / 4000 };
  const node = NodeStatus.create({ nodeId: "n1", ready: true, partitions, process });
  return { atMs, node, agents };
}

const BEFORE = look(1000, [10, 20, 30, 40], { a: 100, b: 0 });

test("rates are of the time between the looks, by partition, worker and agent", () => {
  const figures = figuresOf(BEFORE, look(3000, [20, 20, 30, 60], { a: 110, b: 40, c: 6 }));
  expect(figures.partitions.map((row) => row.turnsPerSecond)).toEqual([5, 0, 0, 10]);
  expect(figures.workers).toMatchObject([
    { worker: 0, partitions: [0, 2], turnsPerSecond: 5, pending: 2 },
    { worker: 1, partitions: [1, 3], turnsPerSecond: 10 },
  ]);
  expect(figures.total).toMatchObject({ turnsPerSecond: 15, pending: 4 });
  expect(figures.cpuCores).toBe(0.25);
  expect(figures.agents.map((row) => row.handledPerSecond)).toEqual([5, 20, 3]);
});

test("a server that was started in between has no negative rates", () => {
  const figures = figuresOf(BEFORE, look(2000, [0, 0, 0, 0], { a: 1, b: 0 }));
  expect(figures.total.turnsPerSecond).toBe(0);
  expect(figures.agents[0]!.handledPerSecond).toBe(0);
});

test("the busiest stand first, and no more lines come than there is room for", () => {
  const handled = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`agent-${i}`, i]));
  const idle = Object.fromEntries(Object.keys(handled).map((name) => [name, 0]));
  const figures = figuresOf(look(0, [0, 0], idle), look(1000, [1, 9], handled));
  const lines = topLines(figures, "rate", 24);
  expect(lines.length).toBeLessThanOrEqual(24);
  const agents = lines.filter((line) => line.startsWith("default/"));
  expect(agents[0]).toMatch(/^default\/agent-49 /);
  expect(agents.length).toBeGreaterThan(5);
  expect(lines.at(-2)).toMatch(/^1 +1 /);
  expect(topLines(figures, "name")).toHaveLength(lines.length + 50 - agents.length);
});
