/**
 * The manifest of an agent: text -> checked, with defaults -> frozen. The schema is the only list of keys;
 * docs/manifest.md is made of it.
 */
import { z } from "zod";
import type { NodeLimits } from "../base/config-schema.ts";
import { CaxtonError, type Finding } from "../base/errors.ts";
import { checkWith, deepFreeze, parseMapping } from "../base/schema.ts";
import { isTopicPattern } from "./topics.ts";

/** A manifest after validation and defaults: frozen, every limit present. */
export interface AgentManifest {
  readonly namespace: string;
  readonly name: string;
  readonly description: string;
  /** `ephemeral` agents keep no log: they start empty after a crash. */
  readonly durability: "durable" | "ephemeral";
  /** An open handler does not hold back other messages. */
  readonly reentrant: boolean;
  readonly limits: AgentLimits;
  /** Tries of one message before it becomes a dead letter. */
  readonly attemptsMax: number;
  readonly backoff: { readonly initialMs: number; readonly maxMs: number; readonly factor: number };
  readonly supervision: Supervision;
  /** How actors with memory go over to another version. */
  readonly upgrade: { readonly drainMs: number };
  /** Read with config_get. */
  readonly config: Readonly<Record<string, string>>;
  /** Read with flag_get. */
  readonly flags: Readonly<Record<string, boolean>>;
  /** Topics whose messages the actor `default` gets; patterns. */
  readonly subscribe?: readonly string[] | undefined;
  /** Topics of events that other agents and clients may subscribe to; patterns. */
  readonly publish?: readonly string[] | undefined;
}

export interface AgentLimits {
  /** Pages of 64 KiB. */
  readonly memoryPagesMax: number;
  readonly tableElementsMax: number;
  readonly fuelPerMessage: number;
  readonly turnTimeoutMs: number;
  readonly callDepthMax: number;
  /** Per actor. */
  readonly mailboxMessagesMax: number;
  /** Unhandled bytes of all actors of the agent in one partition. */
  readonly mailboxBytesMax: number;
  readonly messageBytesMax: number;
  readonly effectsBytesMax: number;
  /** Per actor, keys and values. */
  readonly stateBytesMax: number;
  readonly timersMax: number;
  readonly asksPendingMax: number;
}

export type SupervisionStrategy = "one_for_one" | "one_for_all" | "rest_for_one";

export interface Supervision {
  /** Restarts of one actor (or group) within the window before the agent is suspended. */
  readonly restartsMax: number;
  readonly windowMs: number;
  readonly groups: readonly SupervisionGroup[];
}

/** Keys in start order; all live in one partition (checked at deploy). */
export interface SupervisionGroup {
  readonly name: string;
  readonly strategy: SupervisionStrategy;
  readonly members: readonly string[];
}

/** Unless the manifest says otherwise: of a module's calls. */
const CALL_DEPTH_MAX = 1000;
/** Of the interpreter's, which spends several on each of a program's. */
export const SCRIPT_CALL_DEPTH_MAX = 10_000;

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;
const CONFIG_LENGTH_MAX = 64 * 1024;
/** Characters of a key; its bytes are checked with the address. */
const KEY_LENGTH_MAX = 256;
const TOPIC_LENGTH_MAX = 200;

function count(min: number, max: number, byDefault: number, description: string) {
  return z.int().min(min).max(max).default(byDefault).meta({ description });
}

/** A limit whose default and maximum are the node's. */
function nodeBound(name: "messageBytesMax" | "effectsBytesMax", description: string) {
  return z
    .int()
    .min(1)
    .optional()
    .meta({
      description,
      defaultText: `the node's limits.${name}`,
      valueText: `integer, 1 to the node's limits.${name}`,
    });
}

function name(description: string) {
  return z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/, "must be 1 to 63 of a-z, 0-9 and -")
    .meta({ description, valueText: "text, 1 to 63 of `a-z`, `0-9` and `-`" });
}

function topics(description: string) {
  const pattern = z.string().max(TOPIC_LENGTH_MAX).refine(isTopicPattern, {
    error:
      "must be words of A-Z, a-z, 0-9, _, ~ and - joined by dots; * stands for one, a last > for all that follow",
  });
  return z.array(pattern).max(100).optional().meta({ description, defaultText: "none" });
}

const limitsSchema = z
  .strictObject({
    memoryPagesMax: count(1, 16_384, 256, "Linear memory of one actor, in pages of 64 KiB."),
    tableElementsMax: count(1, 10_000_000, 10_000, "Elements of the module's tables."),
    fuelPerMessage: count(
      1000,
      1_000_000_000_000,
      100_000_000,
      "Work one message may cost, counted in instructions.",
    ),
    turnTimeoutMs: count(1, 60_000, 1000, "Backstop for one turn; fuel ends it sooner."),
    callDepthMax: z
      .int()
      .min(10)
      .max(10_000)
      .optional()
      .meta({
        description: "Calls within one another.",
        defaultText: `${CALL_DEPTH_MAX}; ${SCRIPT_CALL_DEPTH_MAX} for TypeScript`,
      }),
    mailboxMessagesMax: count(1, 1_000_000, 10_000, "Unhandled messages of one actor."),
    mailboxBytesMax: count(
      1,
      4096 * MIB,
      64 * MIB,
      "Unhandled bytes of all actors of the agent in one partition.",
    ),
    messageBytesMax: nodeBound("messageBytesMax", "Content of one message."),
    effectsBytesMax: nodeBound("effectsBytesMax", "Effects of one turn."),
    stateBytesMax: count(1, 256 * MIB, MIB, "Key-value state of one actor, keys and values."),
    timersMax: count(1, 100_000, 1000, "Timers set by one actor."),
    asksPendingMax: count(1, 100_000, 1000, "Asks of one actor that wait for a reply."),
  })
  .prefault({});

const backoffSchema = z
  .strictObject({
    initialMs: count(1, DAY_MS, 100, "Delay before the second attempt."),
    maxMs: count(1, DAY_MS, 10_000, "Longest delay. At least initialMs."),
    factor: z.number().min(1).max(10).default(2).meta({
      description: "What each delay is multiplied by for the next.",
    }),
  })
  .prefault({});

const upgradeSchema = z
  .strictObject({
    drainMs: count(
      0,
      DAY_MS,
      30_000,
      "After a deployment, how long open handlers may go on before their actor goes over to the new version and they fail.",
    ),
  })
  .prefault({});

const groupSchema = z.strictObject({
  name: name("Name of the group, unique in the manifest."),
  strategy: z.enum(["one_for_one", "one_for_all", "rest_for_one"]).meta({
    description: "Who is restarted with a failed member: nobody, all, or those after it.",
  }),
  members: z.array(z.string().min(1).max(KEY_LENGTH_MAX)).min(1).max(1000).meta({
    description:
      "Keys of actors in start order, of 256 characters at most. All must live in one partition.",
  }),
});

const supervisionSchema = z
  .strictObject({
    restartsMax: count(
      0,
      10_000,
      10,
      "Restarts of one actor or group within the window before the agent is suspended.",
    ),
    windowMs: count(1000, DAY_MS, 60_000, "The window restarts are counted in."),
    groups: z.array(groupSchema).max(100).default([]).meta({
      description: "Actors that are restarted together.",
    }),
  })
  .prefault({});

export const manifestSchema = z.strictObject({
  apiVersion: z.literal("caxton/v1").meta({ description: "Version of this format." }),
  kind: z.literal("Agent").meta({ description: "What is described." }),
  metadata: z.strictObject({
    name: name("Name of the agent."),
    namespace: name("Namespace of the agent.").default("default"),
    description: z.string().max(1024).default("").meta({ description: "For people." }),
  }),
  spec: z
    .strictObject({
      durability: z.enum(["durable", "ephemeral"]).default("durable").meta({
        description: "Ephemeral agents keep no log and start empty after a crash.",
      }),
      reentrant: z.boolean().default(false).meta({
        description: "An open handler does not hold back other messages.",
      }),
      limits: limitsSchema,
      attemptsMax: count(1, 100, 3, "Attempts at one message before it becomes a dead letter."),
      backoff: backoffSchema,
      supervision: supervisionSchema,
      upgrade: upgradeSchema,
      config: z
        .record(z.string().min(1), z.string())
        .default({})
        .meta({
          description: "Texts the agent reads by name.",
          valueText: `texts by name, ${String(CONFIG_LENGTH_MAX)} characters together`,
        }),
      flags: z
        .record(z.string().min(1), z.boolean())
        .default({})
        .meta({
          description: "Switches the agent reads by name.",
          valueText: `booleans by name, ${String(CONFIG_LENGTH_MAX)} characters of names together`,
        }),
      subscribe: topics(
        "Topics whose messages the actor `default` gets. `*` stands for a word, a last `>` for all that follow.",
      ),
      publish: topics("Topics of events that go to subscribers of topics too. As in `subscribe`."),
    })
    .prefault({}),
});

type NodeBounds = Pick<NodeLimits, "messageBytesMax" | "effectsBytesMax">;

/** Throws INVALID_MANIFEST with every finding. */
export function compileManifest(
  text: string,
  node: NodeBounds,
  callDepthMax = CALL_DEPTH_MAX,
): AgentManifest {
  const parsed = parseMapping(text);
  if (!parsed.ok) throw invalid(parsed.findings);
  const checked = checkWith(manifestSchema, parsed.value);
  if (!checked.ok) throw invalid(checked.findings);
  const { metadata, spec } = checked.value;
  const { messageBytesMax, effectsBytesMax } = spec.limits;
  const manifest: AgentManifest = {
    ...metadata,
    ...spec,
    limits: {
      ...spec.limits,
      messageBytesMax: messageBytesMax ?? node.messageBytesMax,
      effectsBytesMax: effectsBytesMax ?? node.effectsBytesMax,
      callDepthMax: spec.limits.callDepthMax ?? callDepthMax,
    },
  };
  const findings = [
    ...limitFindings(manifest, node),
    ...groupFindings(manifest),
    ...configFindings(manifest),
  ];
  if (findings.length > 0) throw invalid(findings);
  return deepFreeze(manifest);
}

function invalid(findings: readonly Finding[]): CaxtonError {
  return new CaxtonError("INVALID_MANIFEST", undefined, { findings });
}

function limitFindings(manifest: AgentManifest, node: NodeBounds): Finding[] {
  const findings: Finding[] = [];
  const { limits, backoff } = manifest;
  for (const key of ["messageBytesMax", "effectsBytesMax"] as const) {
    if (limits[key] > node[key]) {
      const message = `must be at most the node's limits.${key} (${node[key]}), found ${limits[key]}`;
      findings.push({ at: `spec.limits.${key}`, message });
    }
  }
  if (limits.mailboxBytesMax < limits.messageBytesMax) {
    const message = `must be at least messageBytesMax (${limits.messageBytesMax}), found ${limits.mailboxBytesMax}`;
    findings.push({ at: "spec.limits.mailboxBytesMax", message });
  }
  if (backoff.maxMs < backoff.initialMs) {
    const message = `must be at least initialMs (${backoff.initialMs}), found ${backoff.maxMs}`;
    findings.push({ at: "spec.backoff.maxMs", message });
  }
  return findings;
}

function groupFindings(manifest: AgentManifest): Finding[] {
  const findings: Finding[] = [];
  const names = new Set<string>();
  const members = new Set<string>();
  for (const [index, group] of manifest.supervision.groups.entries()) {
    const at = `spec.supervision.groups.${index}`;
    if (names.has(group.name)) {
      findings.push({ at: `${at}.name`, message: `"${group.name}" names two groups` });
    }
    names.add(group.name);
    for (const member of group.members) {
      if (members.has(member)) {
        findings.push({ at: `${at}.members`, message: `"${member}" is a member twice` });
      }
      members.add(member);
    }
  }
  return findings;
}

function configFindings({ config, flags }: AgentManifest): Finding[] {
  const findings: Finding[] = [];
  const check = (at: string, texts: readonly string[]): void => {
    const length = texts.reduce((sum, text) => sum + text.length, 0);
    if (length <= CONFIG_LENGTH_MAX) return;
    const message = `must have at most ${CONFIG_LENGTH_MAX} characters, found ${length}`;
    findings.push({ at, message });
  };
  check("spec.config", Object.entries(config).flat());
  check("spec.flags", Object.keys(flags));
  return findings;
}
