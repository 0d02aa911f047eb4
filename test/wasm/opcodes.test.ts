import { describe, expect, test } from "vitest";
import { tryRewriteModule } from "../../src/actors/wasm/rewrite/rewriter.ts";
import { ModuleBuilder, unsigned, type Code, type WasmType } from "../support/wasm-builder.ts";
import { LIMITS } from "../support/rewritten.ts";

/*
 * The engine is the oracle: every instruction is tried with all plausible operands and immediates, and
 * whatever the engine accepts the rewriter must understand, heights of the operand stack included.
 */

const CONSTANTS: readonly Code[] = [
  [0x41, 0],
  [0x42, 0],
  [0x43, 0, 0, 0, 0],
  [0x44, 0, 0, 0, 0, 0, 0, 0, 0],
  [0xfd, 0x0c, ...new Uint8Array(16)],
];
const [I32, , , , V128] = CONSTANTS as [Code, Code, Code, Code, Code];

const NULL: Code = [0xd0, 0x70];

const OPERANDS: readonly Code[] = [
  [],
  ...CONSTANTS,
  ...CONSTANTS.map((one) => [...one, ...one]),
  // Stores; lanes and shifts.
  ...CONSTANTS.slice(1).map((one) => [...I32, ...one]),
  ...CONSTANTS.slice(0, 4).map((one) => [...V128, ...one]),
  [...I32, ...I32, ...I32],
  [...V128, ...V128, ...V128],
  NULL,
  [...I32, ...NULL],
  [...NULL, ...I32],
  [...I32, ...NULL, ...I32],
];

const IMMEDIATES: readonly Code[] = [[], [0], [0, 0], [0, 0, 0], [...new Uint8Array(16)]];

const RESULTS: readonly (WasmType | undefined)[] = [
  undefined,
  "i32",
  "i64",
  "f32",
  "f64",
  "v128",
  "funcref",
];

/** Some instructions take anything; a few ways are enough. */
const WAYS_MAX = 8;

interface Tried {
  readonly valid: number;
  readonly messages: readonly string[];
}

/** A table and passive segments are there, so that instructions about them are valid. */
function emptyModule(result: WasmType | undefined): Buffer {
  const builder = new ModuleBuilder();
  builder.memory(1);
  builder.table(1);
  builder.global("i32", true, I32);
  builder.function({
    results: result === undefined ? [] : [result],
    locals: [[1, "i32"]],
    body: [],
    exported: "f",
  });
  builder.passiveElements([0]);
  builder.passiveData([1]);
  return Buffer.from(builder.build());
}

const LOCALS = [0x01, 0x01, 0x7f];
const END = 0x0b;
const EMPTY_CODE_SECTION = Buffer.from([0x0a, 6, 1, 4, ...LOCALS, END]);
const MODULES = new Map(RESULTS.map((result) => [result, emptyModule(result)]));

/** The module with this body; puts bytes together because there are tens of thousands. */
function moduleWith(body: Code, result: WasmType | undefined): Uint8Array {
  const empty = MODULES.get(result)!;
  const at = empty.indexOf(EMPTY_CODE_SECTION);
  const bodyBytes = LOCALS.length + body.length + 1;
  const section = [0x0a, bodyBytes + 2, 1, bodyBytes, ...LOCALS, ...body, END];
  const after = empty.subarray(at + EMPTY_CODE_SECTION.length);
  return Buffer.concat([empty.subarray(0, at), Uint8Array.from(section), after]);
}

/** Tries one instruction and counts the ways in which the engine takes it. */
function tryInstruction(instruction: Code): Tried {
  let valid = 0;
  const messages = new Set<string>();
  for (const operands of OPERANDS) {
    for (const immediates of IMMEDIATES) {
      if (valid >= WAYS_MAX) break;
      const body = [...operands, ...instruction, ...immediates];
      // What follows `unreachable` fits any result: the quick way to sort out what can't be valid.
      if (!WebAssembly.validate(moduleWith([...body, 0x00], undefined))) continue;
      for (const result of RESULTS) {
        const bytes = moduleWith(body, result);
        if (!WebAssembly.validate(bytes)) continue;
        valid += 1;
        const { findings, module } = tryRewriteModule(bytes, LIMITS);
        if (module === undefined) messages.add(findings.map((one) => one.message).join(" "));
        else if (!WebAssembly.validate(module.bytes)) messages.add("INVALID AFTER REWRITING");
      }
    }
  }
  return { valid, messages: [...messages] };
}

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

const hex = (opcode: number): string => `0x${opcode.toString(16)}`;

describe("every instruction the engine knows", () => {
  test("plain instructions are understood", () => {
    // Structure, calls and branches need more than operands; other tests cover them.
    const structured = new Set([0x02, 0x03, 0x04, 0x05, 0x0b]);
    const accepted: number[] = [];
    for (const opcode of range(0x00, 0xd2)) {
      if (structured.has(opcode)) continue;
      const { valid, messages } = tryInstruction([opcode]);
      if (valid === 0) continue;
      const refused = opcode <= 0x1f && messages.length > 0;
      if (refused) expect(messages.join(), hex(opcode)).toMatch(/exceptions|tail calls|references/);
      else expect(messages, hex(opcode)).toEqual([]);
      if (!refused) accepted.push(opcode);
    }
    for (const opcode of [...range(0x20, 0x26), ...range(0x28, 0x42), ...range(0x45, 0xc4)]) {
      expect(accepted, hex(opcode)).toContain(opcode);
    }
  });

  test("bulk and saturating instructions are understood", () => {
    for (const operation of range(0, 17)) {
      const { valid, messages } = tryInstruction([0xfc, operation]);
      expect(messages, `0xfc ${operation}`).toEqual([]);
      expect(valid, `0xfc ${operation}`).toBeGreaterThan(0);
    }
  });

  test("SIMD instructions are understood, all 236 of them", () => {
    const known: number[] = [];
    for (const operation of range(0, 255)) {
      const { valid, messages } = tryInstruction([0xfd, ...unsigned(operation)]);
      expect(messages, `0xfd ${operation}`).toEqual([]);
      if (valid > 0) known.push(operation);
    }
    expect(known).toHaveLength(236);
  });

  test("relaxed SIMD is refused", () => {
    const known = range(0x100, 0x113).filter((operation) => {
      const { valid, messages } = tryInstruction([0xfd, ...unsigned(operation)]);
      if (valid > 0) expect(messages.join()).toMatch(/relaxed SIMD/);
      return valid > 0;
    });
    expect(known.length).toBeGreaterThan(10);
  });
});
