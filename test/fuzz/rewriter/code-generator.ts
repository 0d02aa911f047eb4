/**
 * Makes the body of one function: random, but typed, so that most of them are valid. Loops may well be endless
 * and recursion deep: the caps are to stop them.
 */
import {
  TYPE_BYTES,
  VOID,
  f64,
  i32,
  i64,
  signed,
  unsigned,
  type Code,
  type WasmType,
} from "../../support/wasm-builder.ts";
import type { Dice } from "./dice.ts";
import { LOADS, STORES, operationsGiving } from "./instructions.ts";

export interface Signature {
  readonly params: readonly WasmType[];
  readonly results: readonly WasmType[];
  readonly typeIndex: number;
}

/** What a body may refer to. */
export interface Surroundings {
  readonly signatures: readonly Signature[];
  readonly functions: readonly Signature[];
  readonly globals: readonly { readonly type: WasmType; readonly mutable: boolean }[];
  readonly memory: boolean;
  /** All of funcref. */
  readonly tables: number;
  readonly dataSegments: number;
  readonly elementSegments: number;
}

const NUMBERS = [0, 1, -1, 2, 7, 63, 64, 255, 65536, 0x7fffffff, -0x80000000];
const NULL_FUNCTION = [0xd0, 0x70];
const DEPTH_MAX = 7;

type Maker = () => Code | undefined;

export class CodeGenerator {
  readonly #dice: Dice;
  readonly #around: Surroundings;
  #locals: readonly WasmType[] = [];
  #results: readonly WasmType[] = [];
  /** What a branch to each open label carries, innermost last. */
  #labels: (readonly WasmType[])[] = [];
  #budget = 0;
  #depth = 0;

  constructor(dice: Dice, around: Surroundings) {
    this.#dice = dice;
    this.#around = around;
  }

  /** Instructions without the last `end`. */
  body(locals: readonly WasmType[], results: readonly WasmType[], budget: number): Code {
    this.#locals = locals;
    this.#results = results;
    this.#labels = [results];
    this.#budget = budget;
    this.#depth = 0;
    const code = this.#statements(5);
    return [...code, ...this.#values(results)];
  }

  #statements(countMax: number): Code {
    const code: number[] = [];
    for (let count = this.#dice.between(0, countMax); count > 0; count -= 1) {
      for (const byte of this.#statement()) code.push(byte);
    }
    return code;
  }

  #statement(): Code {
    this.#budget -= 1;
    if (this.#budget < 0 || this.#depth > DEPTH_MAX) return [0x01];
    this.#depth += 1;
    const makers: readonly Maker[] = [
      () => this.#setLocal(),
      () => this.#setLocal(),
      () => this.#setGlobal(),
      () => this.#store(),
      () => this.#store(),
      () => this.#callAndDrop(),
      () => this.#structured(),
      () => this.#structured(),
      () => this.#branchIf(),
      () => this.#memoryOperation(),
      () => this.#tableOperation(),
      () => this.#leave(),
    ];
    const code = this.#dice.pick(makers)();
    this.#depth -= 1;
    return code ?? [0x01];
  }

  #values(types: readonly WasmType[]): Code {
    return types.flatMap((type) => this.#value(type));
  }

  /** Code that leaves one value of the type. */
  #value(type: WasmType): Code {
    this.#budget -= 1;
    if (this.#budget < 0 || this.#depth > DEPTH_MAX) return this.#leaf(type);
    this.#depth += 1;
    const makers: readonly Maker[] = [
      () => this.#leaf(type),
      () => this.#operation(type),
      () => this.#operation(type),
      () => this.#operation(type),
      () => this.#load(type),
      () => this.#callForValue(type),
      () => this.#blockValue(type),
      () => this.#choice(type),
      () => this.#sizeOrGrow(type),
      () => (this.#dice.chance(15) ? this.#leave() : undefined),
    ];
    const code = this.#dice.pick(makers)();
    this.#depth -= 1;
    return code ?? this.#leaf(type);
  }

  #leaf(type: WasmType): Code {
    const local = this.#pickIndex(this.#locals, (one) => one === type);
    if (local !== undefined && this.#dice.chance(60)) return [0x20, ...unsigned(local)];
    const global = this.#pickIndex(this.#around.globals, (one) => one.type === type);
    if (global !== undefined && this.#dice.chance(40)) return [0x23, ...unsigned(global)];
    return this.#constant(type);
  }

  #constant(type: WasmType): Code {
    const number = this.#dice.chance(50) ? this.#dice.pick(NUMBERS) : this.#dice.between(-50, 300);
    switch (type) {
      case "i32":
        return i32(number);
      case "i64":
        return i64(number);
      case "f32":
        return [0x43, ...new Uint8Array(new Float32Array([number / 3]).buffer)];
      case "f64":
        return f64(number / 3);
      case "v128":
        return [0xfd, 0x0c, ...this.#dice.list(16, 16, () => this.#dice.below(256))];
      case "funcref":
        return NULL_FUNCTION;
      case "externref":
        return [0xd0, 0x6f];
    }
  }

  #operation(type: WasmType): Code | undefined {
    const operations = operationsGiving(type);
    if (operations.length === 0) return this.#reference(type);
    const { operands, code } = this.#dice.pick(operations);
    return [...this.#values(operands), ...code];
  }

  #reference(type: WasmType): Code | undefined {
    if (type !== "funcref" || this.#around.tables === 0) return undefined;
    return [...this.#value("i32"), 0x25, this.#dice.below(this.#around.tables)];
  }

  #load(type: WasmType): Code | undefined {
    const opcodes = LOADS[type];
    if (opcodes === undefined || !this.#around.memory) return undefined;
    return [...this.#address(), this.#dice.pick(opcodes), 0, ...unsigned(this.#dice.below(64))];
  }

  /** Mostly inside memory. */
  #address(): Code {
    if (this.#dice.chance(10)) return this.#value("i32");
    return [...this.#value("i32"), ...i32(0xffff), 0x71];
  }

  #choice(type: WasmType): Code {
    const [first, second] = [this.#value(type), this.#value(type)];
    return [...first, ...second, ...this.#value("i32"), 0x1c, 1, TYPE_BYTES[type]];
  }

  #callForValue(type: WasmType): Code | undefined {
    const index = this.#pickIndex(this.#around.functions, ({ results }) => results[0] === type);
    const drops = (signature: Signature): Code => signature.results.slice(1).map(() => 0x1a);
    if (index !== undefined && this.#dice.chance(70)) {
      const callee = this.#around.functions[index]!;
      return [...this.#values(callee.params), 0x10, ...unsigned(index), ...drops(callee)];
    }
    const candidates = this.#around.signatures.filter(({ results }) => results[0] === type);
    if (candidates.length === 0 || this.#around.tables === 0) return undefined;
    const signature = this.#dice.pick(candidates);
    return [...this.#indirectCall(signature), ...drops(signature)];
  }

  #indirectCall(signature: Signature): Code {
    const table = this.#dice.below(this.#around.tables);
    const index = this.#dice.chance(80) ? i32(this.#dice.below(6)) : this.#value("i32");
    const args = this.#values(signature.params);
    return [...args, ...index, 0x11, ...unsigned(signature.typeIndex), table];
  }

  #callAndDrop(): Code | undefined {
    const { functions, signatures, tables } = this.#around;
    if (tables > 0 && this.#dice.chance(30)) {
      const signature = this.#dice.pick(signatures);
      return [...this.#indirectCall(signature), ...signature.results.map(() => 0x1a)];
    }
    const index = this.#dice.below(functions.length);
    const callee = functions[index]!;
    const args = this.#values(callee.params);
    return [...args, 0x10, ...unsigned(index), ...callee.results.map(() => 0x1a)];
  }

  #blockValue(type: WasmType): Code {
    const kind = this.#dice.pick([0x02, 0x03, 0x04]);
    const condition = kind === 0x04 ? this.#value("i32") : [];
    const inside = (): Code =>
      this.#inside(kind === 0x03 ? [] : [type], () => [
        ...this.#statements(2),
        ...this.#value(type),
      ]);
    const otherwise = kind === 0x04 ? [0x05, ...inside()] : [];
    return [...condition, kind, TYPE_BYTES[type], ...inside(), ...otherwise, 0x0b];
  }

  /** A block, loop or if; now and then one with parameters and several results. */
  #structured(): Code {
    const kind = this.#dice.pick([0x02, 0x03, 0x03, 0x04]);
    const typed = this.#dice.chance(25) ? this.#dice.pick(this.#around.signatures) : undefined;
    const { params, results } = typed ?? { params: [], results: [] };
    const args = this.#values(params);
    const condition = kind === 0x04 ? this.#value("i32") : [];
    const type = typed === undefined ? [VOID] : signed(typed.typeIndex);
    const inside = (): Code =>
      this.#inside(kind === 0x03 ? params : results, () => [
        ...params.map(() => 0x1a),
        ...this.#statements(4),
        ...(kind === 0x03 && params.length === 0 && this.#dice.chance(70) ? this.#again() : []),
        ...this.#values(results),
      ]);
    // Without an else, parameters would have to be the results.
    const needsElse = typed !== undefined || this.#dice.chance(50);
    const otherwise = kind === 0x04 && needsElse ? [0x05, ...inside()] : [];
    const drops = results.map(() => 0x1a);
    return [...args, ...condition, kind, ...type, ...inside(), ...otherwise, 0x0b, ...drops];
  }

  #again(): Code {
    return this.#dice.chance(15) ? [0x0c, 0] : [...this.#value("i32"), 0x0d, 0];
  }

  #inside(label: readonly WasmType[], make: () => Code): Code {
    this.#labels.push(label);
    const code = make();
    this.#labels.pop();
    return code;
  }

  #branchIf(): Code {
    const depth = this.#dice.below(this.#labels.length);
    const carried = this.#labels[this.#labels.length - 1 - depth]!;
    const drops = carried.map(() => 0x1a);
    return [...this.#values(carried), ...this.#value("i32"), 0x0d, ...unsigned(depth), ...drops];
  }

  /** Code after which nothing is reached: it may stand for any statement or value. */
  #leave(): Code {
    const depth = this.#dice.below(this.#labels.length);
    const carried = this.#labels[this.#labels.length - 1 - depth]!;
    switch (this.#dice.below(5)) {
      case 0:
        return this.#dice.chance(30) ? [0x00] : [0x01, 0x00];
      case 1:
        return [...this.#values(this.#results), 0x0f];
      case 2: {
        const same = this.#labels
          .map((types, index) => ({ types, depth: this.#labels.length - 1 - index }))
          .filter(({ types }) => types.join() === carried.join())
          .map((one) => unsigned(one.depth));
        const targets = this.#dice.list(0, 4, () => this.#dice.pick(same)).flat();
        const count = unsigned(targets.length);
        const index = this.#value("i32");
        return [...this.#values(carried), ...index, 0x0e, ...count, ...targets, ...unsigned(depth)];
      }
      default:
        return [...this.#values(carried), 0x0c, ...unsigned(depth)];
    }
  }

  #setLocal(): Code | undefined {
    if (this.#locals.length === 0) return undefined;
    const index = this.#dice.below(this.#locals.length);
    const value = this.#value(this.#locals[index]!);
    return this.#dice.chance(20)
      ? [...value, 0x22, ...unsigned(index), 0x1a]
      : [...value, 0x21, ...unsigned(index)];
  }

  #setGlobal(): Code | undefined {
    const index = this.#pickIndex(this.#around.globals, (one) => one.mutable);
    if (index === undefined) return undefined;
    return [...this.#value(this.#around.globals[index]!.type), 0x24, ...unsigned(index)];
  }

  #store(): Code | undefined {
    if (!this.#around.memory) return undefined;
    const type = this.#dice.pick(["i32", "i64"] as const);
    const opcode = this.#dice.pick(STORES[type]!);
    const offset = unsigned(this.#dice.below(64));
    return [...this.#address(), ...this.#value(type), opcode, 0, ...offset];
  }

  #sizeOrGrow(type: WasmType): Code | undefined {
    if (type !== "i32") return undefined;
    const { memory, tables } = this.#around;
    if (memory && this.#dice.chance(60)) {
      return this.#dice.chance(50) ? [0x3f, 0] : [...this.#amount(), 0x40, 0];
    }
    if (tables === 0) return undefined;
    const table = this.#dice.below(tables);
    if (this.#dice.chance(50)) return [0xfc, 16, table];
    return [...this.#value("funcref"), ...this.#amount(), 0xfc, 15, table];
  }

  #amount(): Code {
    return this.#dice.chance(70) ? i32(this.#dice.between(0, 5)) : this.#value("i32");
  }

  #memoryOperation(): Code | undefined {
    const { memory, dataSegments } = this.#around;
    if (!memory) return undefined;
    const three = (): Code => [...this.#address(), ...this.#value("i32"), ...this.#amount()];
    switch (this.#dice.below(4)) {
      case 0:
        return [...three(), 0xfc, 11, 0];
      case 1:
        return [...this.#address(), ...this.#address(), ...this.#value("i32"), 0xfc, 10, 0, 0];
      case 2:
        if (dataSegments === 0) return undefined;
        return [...three(), 0xfc, 8, this.#dice.below(dataSegments), 0];
      default:
        return dataSegments === 0 ? undefined : [0xfc, 9, this.#dice.below(dataSegments)];
    }
  }

  #tableOperation(): Code | undefined {
    const { tables, elementSegments } = this.#around;
    if (tables === 0) return undefined;
    const table = this.#dice.below(tables);
    const index = (): Code => i32(this.#dice.below(8));
    switch (this.#dice.below(5)) {
      case 0:
        return [...index(), ...this.#value("funcref"), 0x26, table];
      case 1:
        return [...index(), ...this.#value("funcref"), ...this.#amount(), 0xfc, 17, table];
      case 2:
        return [...index(), ...index(), ...this.#amount(), 0xfc, 14, table, table];
      case 3: {
        if (elementSegments === 0) return undefined;
        const segment = this.#dice.below(elementSegments);
        return [...index(), ...index(), ...this.#amount(), 0xfc, 12, segment, table];
      }
      default:
        if (elementSegments === 0 || this.#dice.chance(50)) return undefined;
        return [0xfc, 13, this.#dice.below(elementSegments)];
    }
  }

  #pickIndex<T>(items: readonly T[], fits: (item: T) => boolean): number | undefined {
    const indices = items.flatMap((item, index) => (fits(item) ? [index] : []));
    return indices.length === 0 ? undefined : this.#dice.pick(indices);
  }
}
