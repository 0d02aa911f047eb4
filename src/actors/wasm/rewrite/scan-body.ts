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

/** An open block. */
interface Frame {
  readonly base: number;
  readonly params: number;
  readonly results: number;
  /** The surrounding segment, which goes on after the block. */
  readonly segment: number;
  /** The block itself can't be reached. */
  readonly dead: boolean;
}

export class BodyScanner {
  readonly #model: ModuleModel;
  /** Instructions that change what a memory image does not hold. */
  readonly replayOnly: Set<string>;
  readonly #vectorsInTypes: boolean;
  #reader: ByteReader;
  #frames: Frame[] = [];
  #edits: Edit[] = [];
  #costs: number[] = [];
  #segment = 0;
  #height = 0;
  #heightMax = 0;
  #dead = false;
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
    this.#height = 0;
    this.#heightMax = 0;
    this.#dead = false;
    this.#calls = false;
    this.#vectors = this.#vectorsInTypes;
    const locals = type.params.length + this.#readLocals();
    const codeStart = this.#reader.offset;
    this.#frames = [{ base: 0, params: 0, results: type.results.length, segment: 0, dead: false }];
    while (this.#frames.length > 0) this.#instruction();
    if (!this.#reader.done) throw new FormatError(this.#reader.offset, "goes on after its end");
    return {
      codeStart,
      edits: this.#edits,
      costs: this.#costs,
      calls: this.#calls,
      slots: (locals + this.#heightMax) * (this.#vectors ? 2 : 1),
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
    this.#effect(stackEffects[opcode]!);
  }

  #charge(cost: number): void {
    this.#costs[this.#segment]! += cost;
  }

  #effect(effect: number): void {
    if (this.#dead) return;
    this.#height += effect;
    if (this.#height > this.#heightMax) this.#heightMax = this.#height;
  }

  #special(opcode: number, at: number): void {
    switch (opcode) {
      case OP.block:
      case OP.loop:
      case OP.if:
        this.#open(opcode);
        return;
      case OP.else:
        this.#else(at);
        return;
      case OP.end:
        this.#end(at);
        return;
      case OP.call:
        this.#call(this.#model.functions[this.#reader.u32()]!);
        return;
      case OP.callIndirect:
        this.#effect(-1);
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
        this.#dead = true;
        return;
      case OP.br:
        reader.skipNumber();
        this.#dead = true;
        return;
      case OP.brTable: {
        const count = reader.u32();
        for (let i = 0; i <= count; i += 1) reader.skipNumber();
        this.#dead = true;
        return;
      }
      case OP.return:
        // The function's own label lies one block further out once the body is wrapped.
        this.#edits.push({ kind: "return", at, end: at + 1, label: this.#frames.length - 1 });
        this.#dead = true;
        return;
      case OP.selectTyped: {
        const count = reader.u32();
        for (let i = 0; i < count; i += 1) readValueType(reader);
        this.#effect(-2);
        return;
      }
      case OP.tableSet:
        reader.skipNumber();
        this.replayOnly.add("table.set");
        this.#effect(-2);
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
      this.#effect(-1);
    }
    const base = this.#height - params;
    const segment = this.#segment;
    this.#frames.push({ base, params, results, segment, dead: this.#dead });
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

  #else(at: number): void {
    const frame = this.#frames.at(-1)!;
    this.#checkHeight(frame, at);
    this.#dead = frame.dead;
    this.#height = frame.base + frame.params;
  }

  #end(at: number): void {
    const frame = this.#frames.pop()!;
    this.#checkHeight(frame, at);
    this.#dead = frame.dead;
    this.#height = frame.base + frame.results;
    if (this.#height > this.#heightMax) this.#heightMax = this.#height;
    this.#segment = frame.segment;
  }

  #checkHeight(frame: Frame, at: number): void {
    if (!this.#dead && this.#height !== frame.base + frame.results) {
      throw new FormatError(at, "leaves a number of operands that can't be followed");
    }
  }

  #call(typeIndex: number): void {
    const type = this.#model.types[typeIndex]!;
    this.#calls = true;
    this.#charge(CALL_COST);
    this.#effect(type.results.length - type.params.length);
  }

  #bulk(at: number): void {
    const reader = this.#reader;
    const operation = reader.u32();
    if (operation > BULK.last) {
      throw new FormatError(at, `has an unknown instruction 0xfc ${operation}`);
    }
    for (let i = BULK_NUMBERS[operation]!; i > 0; i -= 1) reader.skipNumber();
    this.#charge(1);
    this.#effect(BULK_STACK_EFFECTS[operation]!);
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
    this.#effect(vectorStackEffects[operation]!);
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

function refuse(opcode: number, at: number): never {
  const feature = featureOfOpcode(opcode);
  if (feature !== undefined) throw new FeatureRefused(feature);
  throw new FormatError(at, `has an unknown instruction 0x${opcode.toString(16)}`);
}
