/**
 * Walks over one function body without changing it and says where to change it.
 *
 * Relies on a module that `WebAssembly.validate` accepted: indices are in range and types fit.
 * 1. Iterative: no nesting of blocks, however deep, uses the host's stack.
 * 2. The height of the operand stack is exact in reachable code; a mismatch at the end of a block stops the
 *    scan instead of giving a wrong result.
 */
import { ByteReader, FormatError } from "./byte-reader.ts";
import { FeatureRefused } from "./features.ts";
import type { ModuleModel, Span } from "./module-model.ts";
import {
  BULK,
  BULK_NUMBERS,
  BULK_STACK_EFFECTS,
  IMMEDIATE,
  OP,
  VOID_BLOCK,
  featureOfOpcode,
  immediates,
  stackEffects,
} from "./opcodes.ts";
import { OperandStack } from "./operand-stack.ts";
import { readValueType } from "./parse-types.ts";
import {
  VECTOR_IMMEDIATE,
  VECTOR_OPCODES,
  vectorImmediate,
  vectorStackEffects,
} from "./vector-opcodes.ts";

/** Cost of a call in fuel; other instructions cost one, structure costs nothing. */
const CALL_COST = 3;

/** A place in the body where [at, end) is replaced. */
export type Edit =
  | { readonly kind: "loop"; readonly at: number; readonly end: number; readonly segment: number }
  | { readonly kind: "return"; readonly at: number; readonly end: number; readonly label: number }
  | { readonly kind: "meter-bytes"; readonly at: number; readonly end: number }
  | { readonly kind: "meter-elements"; readonly at: number; readonly end: number }
  | { readonly kind: "grow-memory"; readonly at: number; readonly end: number };

export interface BodyScan {
  /** Where the instructions begin. */
  readonly codeStart: number;
  /** In rising order, without overlap. */
  readonly edits: readonly Edit[];
  /** Cost of each straight segment: the function's own code first, then each loop's. */
  readonly costs: readonly number[];
  readonly calls: boolean;
  /** Parameters, locals and operands at their highest; what a stack frame may have to hold. */
  readonly slots: number;
}

export class BodyScanner {
  readonly #model: ModuleModel;
  /** Instructions that change what a memory image does not hold. */
  readonly replayOnly: Set<string>;
  readonly #vectorsInTypes: boolean;
  #reader: ByteReader;
  readonly #stack = new OperandStack();
  #edits: Edit[] = [];
  #costs: number[] = [];
  /** The segment an instruction belongs to, and those that go on after the open blocks. */
  #segment = 0;
  #outerSegments: number[] = [];
  #calls = false;
  #vectors = false;

  constructor(model: ModuleModel, replayOnly: Set<string>) {
    this.#model = model;
    this.replayOnly = replayOnly;
    this.#vectorsInTypes =
      model.globals.some((global) => global.type === "v128") ||
      model.types.some((type) => type.params.includes("v128") || type.results.includes("v128"));
    this.#reader = new ByteReader(model.bytes);
  }

  scan(body: Span, typeIndex: number): BodyScan {
    const type = this.#model.types[typeIndex]!;
    this.#reader = new ByteReader(this.#model.bytes, body.start, body.end);
    this.#edits = [];
    this.#costs = [0];
    this.#segment = 0;
    this.#outerSegments = [0];
    this.#stack.reset(type.results.length);
    this.#calls = false;
    this.#vectors = this.#vectorsInTypes;
    const locals = type.params.length + this.#readLocals();
    const codeStart = this.#reader.offset;
    while (this.#stack.blocks > 0) this.#instruction();
    if (!this.#reader.done) throw new FormatError(this.#reader.offset, "goes on after its end");
    return {
      codeStart,
      edits: this.#edits,
      costs: this.#costs,
      calls: this.#calls,
      slots: (locals + this.#stack.highest) * (this.#vectors ? 2 : 1),
    };
  }

  #readLocals(): number {
    let locals = 0;
    const runs = this.#reader.u32();
    for (let i = 0; i < runs; i += 1) {
      locals += this.#reader.u32();
      if (readValueType(this.#reader) === "v128") this.#vectors = true;
    }
    return locals;
  }

  #instruction(): void {
    const reader = this.#reader;
    const at = reader.offset;
    const opcode = reader.byte();
    switch (immediates[opcode]) {
      case IMMEDIATE.none:
        break;
      case IMMEDIATE.number:
        reader.skipNumber();
        break;
      case IMMEDIATE.memory:
        this.#skipMemoryArgument();
        break;
      case IMMEDIATE.fourBytes:
        reader.skip(4);
        break;
      case IMMEDIATE.eightBytes:
        reader.skip(8);
        break;
      case IMMEDIATE.special:
        this.#special(opcode, at);
        return;
      default:
        refuse(opcode, at);
    }
    this.#charge(1);
    this.#stack.change(stackEffects[opcode]!);
  }

  #charge(cost: number): void {
    this.#costs[this.#segment]! += cost;
  }

  #special(opcode: number, at: number): void {
    switch (opcode) {
      case OP.block:
      case OP.loop:
      case OP.if:
        this.#open(opcode);
        return;
      case OP.else:
        if (!this.#stack.else()) throw unbalanced(at);
        return;
      case OP.end:
        this.#end(at);
        return;
      case OP.call:
        this.#call(this.#model.functions[this.#reader.u32()]!);
        return;
      case OP.callIndirect:
        this.#stack.change(-1);
        this.#call(this.#reader.u32());
        this.#reader.skipNumber();
        return;
      case OP.prefixBulk:
        this.#bulk(at);
        return;
      case OP.prefixVector:
        this.#vector();
        return;
      default:
        this.#charge(1);
        this.#plainSpecial(opcode, at);
        return;
    }
  }

  #plainSpecial(opcode: number, at: number): void {
    const reader = this.#reader;
    switch (opcode) {
      case OP.unreachable:
        this.#stack.leave();
        return;
      case OP.br:
        reader.skipNumber();
        this.#stack.leave();
        return;
      case OP.brTable: {
        const count = reader.u32();
        for (let i = 0; i <= count; i += 1) reader.skipNumber();
        this.#stack.leave();
        return;
      }
      case OP.return:
        // The function's own label lies one block further out once the body is wrapped.
        this.#edits.push({ kind: "return", at, end: at + 1, label: this.#stack.blocks - 1 });
        this.#stack.leave();
        return;
      case OP.selectTyped: {
        const count = reader.u32();
        for (let i = 0; i < count; i += 1) readValueType(reader);
        this.#stack.change(-2);
        return;
      }
      case OP.tableSet:
        reader.skipNumber();
        this.replayOnly.add("table.set");
        this.#stack.change(-2);
        return;
      case OP.memoryGrow:
        reader.skipNumber();
        this.#edits.push({ kind: "grow-memory", at, end: reader.offset });
        return;
      default:
        refuse(opcode, at);
    }
  }

  #open(opcode: number): void {
    const { params, results } = this.#blockType();
    if (opcode === OP.if) {
      this.#charge(1);
      this.#stack.change(-1);
    }
    this.#stack.open(params, results);
    this.#outerSegments.push(this.#segment);
    if (opcode !== OP.loop) return;
    this.#segment = this.#costs.push(0) - 1;
    const end = this.#reader.offset;
    this.#edits.push({ kind: "loop", at: end, end, segment: this.#segment });
  }

  #blockType(): { params: number; results: number } {
    const reader = this.#reader;
    const at = reader.offset;
    const code = reader.s33();
    if (code >= 0) {
      const type = this.#model.types[code];
      if (type === undefined) throw new FormatError(at, "has a block of an unknown type");
      return { params: type.params.length, results: type.results.length };
    }
    if (reader.bytes[at] === VOID_BLOCK) return { params: 0, results: 0 };
    reader.offset = at;
    if (readValueType(reader) === "v128") this.#vectors = true;
    return { params: 0, results: 1 };
  }

  #end(at: number): void {
    this.#segment = this.#outerSegments.pop()!;
    if (!this.#stack.close()) throw unbalanced(at);
  }

  #call(typeIndex: number): void {
    const type = this.#model.types[typeIndex]!;
    this.#calls = true;
    this.#charge(CALL_COST);
    this.#stack.change(type.results.length - type.params.length);
  }

  #bulk(at: number): void {
    const reader = this.#reader;
    const operation = reader.u32();
    if (operation > BULK.last) {
      throw new FormatError(at, `has an unknown instruction 0xfc ${operation}`);
    }
    for (let i = BULK_NUMBERS[operation]!; i > 0; i -= 1) reader.skipNumber();
    this.#charge(1);
    this.#stack.change(BULK_STACK_EFFECTS[operation]!);
    switch (operation) {
      case BULK.memoryInit:
      case BULK.memoryCopy:
      case BULK.memoryFill:
        this.#edits.push({ kind: "meter-bytes", at, end: at });
        return;
      case BULK.tableInit:
      case BULK.tableCopy:
      case BULK.tableGrow:
      case BULK.tableFill:
        this.#edits.push({ kind: "meter-elements", at, end: at });
        this.replayOnly.add(TABLE_OPERATIONS[operation]);
        return;
      case BULK.dataDrop:
        this.replayOnly.add("data.drop");
        return;
      case BULK.elemDrop:
        this.replayOnly.add("elem.drop");
    }
  }

  #vector(): void {
    const reader = this.#reader;
    const operation = reader.u32();
    if (operation >= VECTOR_OPCODES) throw new FeatureRefused("relaxedSimd");
    switch (vectorImmediate(operation)) {
      case VECTOR_IMMEDIATE.none:
        break;
      case VECTOR_IMMEDIATE.memory:
        this.#skipMemoryArgument();
        break;
      case VECTOR_IMMEDIATE.memoryAndLane:
        this.#skipMemoryArgument();
        reader.skip(1);
        break;
      case VECTOR_IMMEDIATE.lane:
        reader.skip(1);
        break;
      case VECTOR_IMMEDIATE.sixteenBytes:
        reader.skip(16);
        break;
    }
    this.#vectors = true;
    this.#charge(1);
    this.#stack.change(vectorStackEffects[operation]!);
  }

  #skipMemoryArgument(): void {
    const MEMORY_INDEX_FOLLOWS = 0x40;
    if (this.#reader.u32() & MEMORY_INDEX_FOLLOWS) this.#reader.skipNumber();
    this.#reader.skipNumber();
  }
}

const TABLE_OPERATIONS = {
  [BULK.tableInit]: "table.init",
  [BULK.tableCopy]: "table.copy",
  [BULK.tableGrow]: "table.grow",
  [BULK.tableFill]: "table.fill",
} as const;

function unbalanced(at: number): FormatError {
  return new FormatError(at, "leaves a number of operands that can't be followed");
}

function refuse(opcode: number, at: number): never {
  const feature = featureOfOpcode(opcode);
  if (feature !== undefined) throw new FeatureRefused(feature);
  throw new FormatError(at, `has an unknown instruction 0x${opcode.toString(16)}`);
}
