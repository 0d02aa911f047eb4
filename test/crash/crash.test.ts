import { randomInt } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServerProcess, startServerProcess } from "../support/server.ts";
import { bytes, fixtureModule, manifest, Wire } from "../support/wire.ts";
import { POINTS, runCampaign } from "./campaign.ts";
import { balanceOf } from "./ledger.ts";

const KILLS = { embedded: 20, jetstream: 14 } as const;
const IN_FLIGHT_MIN = 50;

test.each(["embedded", "jetstream"] as const)(
  "kills under load lose, double and reorder nothing: %s",
  async (storage) => {
    const seed = randomInt(2 ** 32);
    const kills = KILLS[storage];
    console.log(`node scripts/crash.ts --kills ${kills} --seed ${seed} --storage ${storage}`);
    const report = await runCampaign({ storage, kills, seed, killed: () => undefined });
    expect(report).toMatchObject({
      answered: report.requests,
      lost: 0,
      doubled: 0,
      strays: 0,
      deadLetters: 0,
      deploysLost: 0,
    });
    expect(new Set(report.kills.map((kill) => kill.point))).toEqual(new Set(POINTS[storage]));
    expect(Math.min(...report.kills.map((kill) => kill.inFlight))).toBeGreaterThan(IN_FLIGHT_MIN);
    expect(report.duplicates).toBeGreaterThan(0);
    expect(report.awaits).toBeGreaterThan(0);
  },
);

describe("the books notice", () => {
  let server: ServerProcess;
  let wire: Wire;

  beforeAll(async () => {
    server = await startServerProcess();
    wire = new Wire(server.endpoint);
    await wire.deploy(manifest("sequence"), fixtureModule("sequence"));
  });
  afterAll(async () => {
    wire.close();
    await server.dispose();
  });

  test.each([
    ["nothing when all is well", [1, 2, 3, 4], { lost: 0, doubled: 0, strays: 0 }],
    ["what is lost", [1, 2, 4], { lost: 1, doubled: 0, strays: 1 }],
    ["what is lost at the end", [1, 2, 3], { lost: 1, doubled: 0, strays: 0 }],
    ["what is doubled", [1, 2, 2, 3, 4], { lost: 0, doubled: 1, strays: 1 }],
    ["what is out of order", [1, 3, 2, 4], { lost: 0, doubled: 0, strays: 3 }],
    ["one for another", [1, 2, 3, 3], { lost: 0, doubled: 0, strays: 1 }],
  ])("%s", async (name, numbers, balance) => {
    const stream = {
      name: name.replaceAll(" ", "-"),
      receiver: `default/sequence/${name.replaceAll(" ", "-")}`,
      sink: "default/sequence/unused",
      sent: 4,
    };
    for (const n of numbers) {
      const content = bytes(`${stream.name} ${n}`);
      await wire.ask({ receiver: stream.receiver, content });
    }
    // Nothing is forwarded here: that line of the books stays open.
    const { lost, ...rest } = await balanceOf(wire, [stream]);
    expect({ lost: lost - stream.sent, ...rest }).toEqual(balance);
  });
});
