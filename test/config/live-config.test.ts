import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { LiveConfig } from "../../src/base/live-config.ts";

const folder = mkdtempSync(join(tmpdir(), "caxton-config-"));
const file = join(folder, "caxton.yaml");
afterAll(() => rmSync(folder, { recursive: true }));

function started(): LiveConfig {
  writeFileSync(file, "log: {level: warn}\nlimits: {deadLettersMax: 5}\n");
  const env = { CAXTON_NODE_ID: "here" };
  return new LiveConfig({ file, env, sets: ["api.grpc.port=7"] });
}

test("says of every setting where its value comes from", () => {
  const settings = new Map(
    started()
      .settings()
      .map((setting) => [setting.key, setting]),
  );
  expect(settings.get("log.level")).toEqual({
    ...{ key: "log.level", value: '"warn"', source: "file", reloadable: true },
  });
  expect(settings.get("node.id")).toMatchObject({ value: '"here"', source: "environment" });
  expect(settings.get("api.grpc.port")).toMatchObject({ value: "7", source: "flag" });
  expect(settings.get("api.http.port")).toMatchObject({ value: "9090", source: "default" });
});

test("a reload changes what it can, and names the rest", () => {
  const live = started();
  const levels: string[] = [];
  live.onChange(({ log }) => levels.push(log.level));
  writeFileSync(file, "log: {level: debug}\nlimits: {deadLettersMax: 6, messageBytesMax: 1000}\n");
  expect(live.reload()).toEqual({
    applied: [
      { key: "limits.messageBytesMax", before: "262144", after: "1000" },
      { key: "log.level", before: '"warn"', after: '"debug"' },
    ],
    needsRestart: [{ key: "limits.deadLettersMax", before: "5", after: "6" }],
  });
  expect(live.current.limits).toMatchObject({ deadLettersMax: 5, messageBytesMax: 1000 });
  expect(live.current.log.level).toBe("debug");
  expect(Object.isFrozen(live.current.limits)).toBe(true);
  expect(levels).toEqual(["debug"]);
  expect(live.reload().applied).toEqual([]);
  expect(levels).toEqual(["debug"]);
});

test("sources that are wrong change nothing", () => {
  const live = started();
  const before = live.current;
  writeFileSync(file, "log: {level: debug}\nlimits: {messageBytesMax: 0}\n");
  expect(() => live.reload()).toThrow();
  expect(live.current).toBe(before);
});
