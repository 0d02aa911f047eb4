/**
 * Turns an agent's module into the one that runs: memory and tables capped, fuel and call depth counted, and
 * what the host needs exported under the reserved prefix.
 *
 * 1. The original is validated before anything is appended: a module that addresses an index which does not
 *    exist yet could otherwise reach the fuel.
 * 2. Everything new stands at the end of its index space, so nothing of the original is renumbered.
 * 3. Equal bytes and limits give equal bytes: replay depends on it.
 */
import { CaxtonError, ensureError, type Finding } from "../../../base/errors.ts";
import { planAdditions, type Additions } from "./additions.ts";
import { BOUNDS } from "./bounds.ts";
import { FormatError } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { encodeModule } from "./encode-module.ts";
import { FEATURES, FeatureRefused } from "./features.ts";
import { Findings } from "./findings.ts";

import { blockTypeOf, writeMeteredBody } from "./meter-body.ts";
import { describeModule, type ModuleInfo } from "./module-info.ts";
import type { ModuleModel } from "./module-model.ts";
import { parseModule } from "./parse-module.ts";
import { BodyScanner, type BodyScan } from "./scan-body.ts";
import { checkStructure, type RewriteLimits } from "./structure.ts";

export interface RewrittenModule {
  readonly bytes: Uint8Array;
  readonly info: ModuleInfo;
}

/** Everything that was found out about a module, and the rewritten one when nothing speaks against it. */
export interface RewriteOutcome {
  readonly model: ModuleModel;
  readonly findings: readonly Finding[];
  readonly module: RewrittenModule | undefined;
}

/** Throws INVALID_MODULE with all findings. */
export function rewriteModule(bytes: Uint8Array, limits: RewriteLimits): RewrittenModule {
  const { module, findings } = tryRewriteModule(bytes, limits);
  if (module === undefined) throw new CaxtonError("INVALID_MODULE", undefined, { findings });
  return module;
}

/**
 * Never throws on account of the module. `keeps`: names of the exports that stay, all unless given: every
 * instance pays for each.
 */
export function tryRewriteModule(
  bytes: Uint8Array,
  limits: RewriteLimits,
  keeps?: readonly string[],
): RewriteOutcome {
  const findings = new Findings();
  const valid = validate(bytes, findings);
  const model = parseModule(bytes, findings);
  checkStructure(model, limits, findings);
  const module = valid && model.complete ? rewrite(model, limits, findings, keeps) : undefined;
  return { model, findings: findings.list(), module };
}

function validate(bytes: Uint8Array, findings: Findings): boolean {
  if (WebAssembly.validate(bytes)) return true;
  findings.add(
    "module",
    `The module is not valid: ${engineMessage(bytes)}.`,
    "Build the module again with a current compiler; the file may be damaged.",
  );
  return false;
}

/** What the engine has against the bytes, without the name of the call. */
function engineMessage(bytes: Uint8Array): string {
  try {
    new WebAssembly.Module(bytes);
    return "unknown reason";
  } catch (error) {
    return ensureError(error).message.replace(/^WebAssembly\.Module\(\): /, "");
  }
}

function rewrite(
  model: ModuleModel,
  limits: RewriteLimits,
  findings: Findings,
  keeps: readonly string[] | undefined,
): RewrittenModule | undefined {
  const replayOnly = new Set<string>();
  const additions = planAdditions(model, limits);
  const code = rewriteCode(model, additions, replayOnly, findings);
  if (!findings.empty) return undefined;
  const exports = model.exports.filter(({ name }) => keeps?.includes(name) ?? true);
  return {
    bytes: encodeModule({ ...model, exports }, limits, additions, code.bodies),
    info: describeModule(model, limits, code.loops, replayOnly),
  };
}

interface RewrittenCode {
  /** Every body with its length before it. */
  readonly bodies: Uint8Array;
  readonly loops: number;
}

function rewriteCode(
  model: ModuleModel,
  additions: Additions,
  replayOnly: Set<string>,
  findings: Findings,
): RewrittenCode {
  const scanner = new BodyScanner(model, replayOnly);
  const bodies = new ByteWriter(model.bytes.length + 1024);
  const body = new ByteWriter(4096);
  let loops = 0;
  for (const [position, span] of model.bodies.entries()) {
    const index = model.functionsImported + position;
    const typeIndex = model.functions[index]!;
    const scan = scanBody(scanner, model, position, findings);
    if (scan === undefined || bodies.length > BOUNDS.codeBytesMax) continue;
    loops += scan.costs.length - 1;
    const blockType = blockTypeOf(model.types[typeIndex]!.results, additions.typeIndexOf);
    body.clear();
    writeMeteredBody(body, model.bytes, span, scan, blockType, additions.indices);
    if (body.length > BOUNDS.functionBytesMax) {
      findings.add(
        `function ${index}`,
        `A function is too large: ${body.length} bytes with its metering, ${BOUNDS.functionBytesMax} are allowed.`,
        "Split the function.",
      );
    }
    bodies.u32(body.length);
    bodies.copy(body.written);
  }
  if (bodies.length > BOUNDS.codeBytesMax) {
    findings.add(
      "code section",
      `The code is larger than ${BOUNDS.codeBytesMax} bytes with its metering.`,
      "Split the agent into several, or compile for size.",
    );
  }
  return { bodies: bodies.written, loops };
}

function scanBody(
  scanner: BodyScanner,
  model: ModuleModel,
  position: number,
  findings: Findings,
): BodyScan | undefined {
  const index = model.functionsImported + position;
  const at = `function ${index}`;
  try {
    const scan = scanner.scan(model.bodies[position]!, model.functions[index]!);
    if (scan.slots <= BOUNDS.slotsMax) return scan;
    findings.add(
      at,
      `A function holds ${scan.slots} parameters, locals and operands at once; ${BOUNDS.slotsMax} are allowed.`,
      "Split the function, or compile with optimisation.",
    );
  } catch (error) {
    if (error instanceof FeatureRefused) {
      findings.add(at, error.message, FEATURES[error.feature].hint);
    } else if (error instanceof FormatError) {
      findings.add(
        at,
        `A function ${error.message} (at byte ${error.offset}).`,
        "Compile for the WebAssembly 2.0 feature set.",
      );
    } else throw error;
  }
  return undefined;
}
