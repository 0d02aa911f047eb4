import { describe, expect, test } from "vitest";
import { groupPartitionFindings } from "../../src/actors/group-partitions.ts";
import { compileManifest } from "../../src/actors/manifest.ts";
import { loadConfig } from "../../src/base/config.ts";
import { CaxtonError } from "../../src/base/errors.ts";

const { limits } = loadConfig({});
const HEAD = "apiVersion: caxton/v1\nkind: Agent\n";
const MINIMAL = `${HEAD}metadata: {name: counter}\n`;

function findings(text: string): string[] {
  try {
    compileManifest(text, limits);
  } catch (error) {
    if (!(error instanceof CaxtonError)) throw error;
    expect(error.code).toBe("INVALID_MANIFEST");
    return error.findings.map(({ at, message, hint }) =>
      [`${at}: ${message}`, ...(hint === undefined ? [] : [hint])].join(" | "),
    );
  }
  throw new Error("the manifest was accepted");
}

describe("values", () => {
  test("the smallest manifest gets every default", () => {
    expect(compileManifest(MINIMAL, limits)).toEqual({
      namespace: "default",
      name: "counter",
      description: "",
      durability: "durable",
      reentrant: false,
      limits: {
        memoryPagesMax: 256,
        tableElementsMax: 10_000,
        fuelPerMessage: 100_000_000,
        turnTimeoutMs: 1000,
        callDepthMax: 1000,
        mailboxMessagesMax: 10_000,
        mailboxBytesMax: 67_108_864,
        messageBytesMax: 262_144,
        effectsBytesMax: 524_288,
        stateBytesMax: 1_048_576,
        timersMax: 1000,
        asksPendingMax: 1000,
      },
      attemptsMax: 3,
      backoff: { initialMs: 100, maxMs: 10_000, factor: 2 },
      supervision: { restartsMax: 10, windowMs: 60_000, groups: [] },
      upgrade: { drainMs: 30_000 },
      config: {},
      flags: {},
    });
  });

  test("JSON says the same as YAML", () => {
    const json = JSON.stringify({
      apiVersion: "caxton/v1",
      kind: "Agent",
      metadata: { name: "counter" },
    });
    expect(compileManifest(json, limits)).toEqual(compileManifest(MINIMAL, limits));
  });

  test("what is written is what is in force", () => {
    const text = `${HEAD}metadata: {name: bank, namespace: finance, description: keeps accounts}
spec:
  durability: ephemeral
  reentrant: true
  limits: {memoryPagesMax: 16, fuelPerMessage: 5000, messageBytesMax: 100, effectsBytesMax: 200}
  attemptsMax: 7
  backoff: {initialMs: 1, maxMs: 2, factor: 1.5}
  supervision:
    restartsMax: 0
    windowMs: 5000
    groups: [{name: pair, strategy: rest_for_one, members: [a, b]}]
  config: {currency: EUR}
  flags: {audit: true}
`;
    expect(compileManifest(text, limits)).toMatchObject({
      namespace: "finance",
      name: "bank",
      description: "keeps accounts",
      durability: "ephemeral",
      reentrant: true,
      limits: {
        memoryPagesMax: 16,
        fuelPerMessage: 5000,
        messageBytesMax: 100,
        effectsBytesMax: 200,
      },
      attemptsMax: 7,
      backoff: { initialMs: 1, maxMs: 2, factor: 1.5 },
      supervision: {
        restartsMax: 0,
        windowMs: 5000,
        groups: [{ name: "pair", strategy: "rest_for_one", members: ["a", "b"] }],
      },
      config: { currency: "EUR" },
      flags: { audit: true },
    });
  });

  test("the result is frozen throughout", () => {
    const manifest = compileManifest(MINIMAL, limits);
    for (const part of [manifest, manifest.limits, manifest.supervision, manifest.config]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  test("a node with smaller messages lowers the default", () => {
    const node = { messageBytesMax: 1000, effectsBytesMax: 2000 };
    expect(compileManifest(MINIMAL, node).limits).toMatchObject(node);
  });
});

describe("refusals", () => {
  test.each([
    ["nothing", "", ["apiVersion: is required", "kind: is required", "metadata: is required"]],
    [
      "an unknown key",
      `${MINIMAL}spec: {limits: {memoryPageMax: 1}}`,
      ['spec.limits.memoryPageMax: unknown key | Did you mean "memoryPagesMax"?'],
    ],
    [
      "another version",
      "apiVersion: caxton/v2\nkind: Agent\nmetadata: {name: a}",
      ['apiVersion: expected one of "caxton/v1", found "caxton/v2" | Did you mean "caxton/v1"?'],
    ],
    [
      "a bad name",
      `${HEAD}metadata: {name: Counter_1}`,
      ["metadata.name: must be 1 to 63 of a-z, 0-9 and -"],
    ],
    [
      "a limit of zero",
      `${MINIMAL}spec: {limits: {timersMax: 0}}`,
      ["spec.limits.timersMax: must be at least 1, found 0"],
    ],
    [
      "more memory than there can be",
      `${MINIMAL}spec: {limits: {memoryPagesMax: 16385}}`,
      ["spec.limits.memoryPagesMax: must be at most 16384, found 16385"],
    ],
    [
      "more than the node takes",
      `${MINIMAL}spec: {limits: {messageBytesMax: 262145, effectsBytesMax: 524289}}`,
      [
        "spec.limits.messageBytesMax: must be at most the node's limits.messageBytesMax (262144), found 262145",
        "spec.limits.effectsBytesMax: must be at most the node's limits.effectsBytesMax (524288), found 524289",
      ],
    ],
    [
      "a mailbox that holds no message",
      `${MINIMAL}spec: {limits: {mailboxBytesMax: 10}}`,
      ["spec.limits.mailboxBytesMax: must be at least messageBytesMax (262144), found 10"],
    ],
    [
      "a back-off that shrinks",
      `${MINIMAL}spec: {backoff: {initialMs: 10, maxMs: 9}}`,
      ["spec.backoff.maxMs: must be at least initialMs (10), found 9"],
    ],
    [
      "a number as config",
      `${MINIMAL}spec: {config: {rate: 5}}`,
      ["spec.config.rate: expected a string, found 5"],
    ],
    [
      "a text as flag",
      `${MINIMAL}spec: {flags: {on: "yes"}}`,
      ['spec.flags.on: expected a boolean, found "yes"'],
    ],
    [
      "a group without members",
      `${MINIMAL}spec: {supervision: {groups: [{name: g, strategy: one_for_all, members: []}]}}`,
      ["spec.supervision.groups.0.members: the number of items must be at least 1, found []"],
    ],
    [
      "an unknown strategy",
      `${MINIMAL}spec: {supervision: {groups: [{name: g, strategy: one_for_al, members: [a]}]}}`,
      [
        'spec.supervision.groups.0.strategy: expected one of "one_for_one", "one_for_all", "rest_for_one", found "one_for_al" | Did you mean "one_for_all"?',
      ],
    ],
    [
      "a member twice and a name twice",
      `${MINIMAL}spec: {supervision: {groups: [{name: g, strategy: one_for_all, members: [a, a]}, {name: g, strategy: one_for_all, members: [b]}]}}`,
      [
        'spec.supervision.groups.0.members: "a" is a member twice',
        'spec.supervision.groups.1.name: "g" names two groups',
      ],
    ],
    ["a list", "- a", ["line 1: expected keys with values"]],
    ["text", "hello", ["line 1: expected keys with values"]],
  ])("%s", (_, text, expected) => {
    expect(findings(text)).toEqual(expected);
  });

  test("config and flags beyond their bounds", () => {
    const config = JSON.stringify({ big: "x".repeat(65_536) });
    const flags = JSON.stringify({ ["y".repeat(65_537)]: true });
    expect(findings(`${MINIMAL}spec: {config: ${config}, flags: ${flags}}`)).toEqual([
      "spec.config: must have at most 65536 characters, found 65539",
      "spec.flags: must have at most 65536 characters, found 65537",
    ]);
  });

  test("broken YAML, with the place", () => {
    expect(findings("apiVersion: [\n")[0]).toMatch(/^line \d+, column \d+: /);
  });

  test("aliases that multiply", () => {
    const levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 9; i++) {
      levels.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(", ")}]`,
      );
    }
    expect(findings(levels.join("\n"))[0]).toContain("alias");
  });

  test("every finding at once", () => {
    const text = "apiVersion: caxton/v1\nkind: Agent\nmetadata: {nam: x}\nspec: {attemptsMax: 0}\n";
    expect(findings(text)).toEqual([
      "metadata.name: is required",
      'metadata.nam: unknown key | Did you mean "name"?',
      "spec.attemptsMax: must be at least 1, found 0",
    ]);
  });
});

describe("groups live in one partition", () => {
  const group = (members: string) =>
    compileManifest(
      `${MINIMAL}spec: {supervision: {groups: [{name: g, strategy: one_for_all, members: [${members}]}]}}`,
      limits,
    );
  /** Keys by their length, so that the expectation can be read off. */
  const byLength = (key: string): number => key.length % 4;

  test("members of one partition are fine", () => {
    expect(groupPartitionFindings(group("a, b, abcde"), byLength)).toEqual([]);
  });

  test("strays are named, with keys that would do", () => {
    expect(groupPartitionFindings(group("abcd, ab, xyzw"), byLength)).toEqual([
      {
        at: "spec.supervision.groups.0.members",
        message:
          'the members of "g" must live in one partition: "abcd" in 0, "ab" in 2, "xyzw" in 0',
        hint: 'Keys that live in partition 0: "ab-1" for "ab".',
      },
    ]);
  });
});
