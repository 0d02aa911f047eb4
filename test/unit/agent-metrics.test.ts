import { afterAll, expect, test } from "vitest";
import type { AgentInfo, Distribution } from "../../src/actors/index.ts";
import { ApiMetrics } from "../../src/api/index.ts";

const metrics = new ApiMetrics();
afterAll(() => metrics.close());

function agent(name: string): AgentInfo {
  const one: Distribution = { bounds: [1, 2], counts: [1, 0, 2], sum: 9 };
  return {
    namespace: "default",
    name,
    status: "running",
    actors: 3,
    messagesHandled: 3,
    messagesFailed: 0,
    memoryBytes: 65_536,
    turnCosts: { latencySeconds: one, durationSeconds: one, fuel: one },
  } as AgentInfo;
}

test("agents beyond the first 200 are added up, and those that are gone leave no figures", async () => {
  const names = Array.from({ length: 203 }, (_, i) => `a${String(i).padStart(3, "0")}`);
  const text = await metrics.render(undefined, names.map(agent));
  const lines = text.split("\n").filter((line) => line.startsWith("caxton_agent_turn_fuel"));
  const of = (label: string) => lines.filter((line) => line.includes(`agent="${label}"`));
  expect(of("default/a199")).toEqual([
    'caxton_agent_turn_fuel_bucket{agent="default/a199",le="1"} 1',
    'caxton_agent_turn_fuel_bucket{agent="default/a199",le="2"} 1',
    'caxton_agent_turn_fuel_bucket{agent="default/a199",le="+Inf"} 3',
    'caxton_agent_turn_fuel_sum{agent="default/a199"} 9',
    'caxton_agent_turn_fuel_count{agent="default/a199"} 3',
  ]);
  expect(of("default/a200")).toEqual([]);
  expect(of("other")).toEqual([
    'caxton_agent_turn_fuel_bucket{agent="other",le="1"} 3',
    'caxton_agent_turn_fuel_bucket{agent="other",le="2"} 3',
    'caxton_agent_turn_fuel_bucket{agent="other",le="+Inf"} 9',
    'caxton_agent_turn_fuel_sum{agent="other"} 27',
    'caxton_agent_turn_fuel_count{agent="other"} 9',
  ]);
  expect(text).toContain('caxton_agent_memory_bytes{agent="other"} 196608\n');
  expect(await metrics.render(undefined, [agent("b")])).not.toContain('agent="default/a199"');
});
