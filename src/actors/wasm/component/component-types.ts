/** Reads types of the component model into texts that can be compared. */
import type { ByteReader } from "../rewrite/byte-reader.ts";
import { ComponentRefused } from "./component-model.ts";

export type TypeDefinition =
  | { readonly kind: "value"; readonly text: string }
  | { readonly kind: "function"; readonly text: string }
  | { readonly kind: "instance"; readonly exports: ReadonlyMap<string, TypeDefinition> }
  /** Needed by nothing that is run here. */
  | { readonly kind: "other" };

/** A place whose types have numbers: the component itself, or a type of an instance or component. */
export interface TypeScope {
  readonly outer: TypeScope | undefined;
  readonly types: TypeDefinition[];
  readonly exportsOf: (instance: number) => ReadonlyMap<string, TypeDefinition> | undefined;
}

/** Types repeat others by number, so texts could grow without end. */
const TEXT_MAX = 4000;
const TYPES_MAX = 5000;
const NESTING_MAX = 8;

const OTHER: TypeDefinition = { kind: "other" };

const PRIMITIVES: ReadonlyMap<number, string> = new Map([
  [0x7f, "bool"],
  [0x7e, "s8"],
  [0x7d, "u8"],
  [0x7c, "s16"],
  [0x7b, "u16"],
  [0x7a, "s32"],
  [0x79, "u32"],
  [0x78, "s64"],
  [0x77, "u64"],
  [0x76, "f32"],
  [0x75, "f64"],
  [0x74, "char"],
  [0x73, "string"],
  [0x64, "error-context"],
]);

export function vector<T>(reader: ByteReader, read: () => T): T[] {
  const items: T[] = [];
  for (let left = reader.u32(); left > 0; left--) items.push(read());
  return items;
}

export function optional<T>(reader: ByteReader, read: () => T): T | undefined {
  return reader.byte() === 0 ? undefined : read();
}

/** The name of an import or export: what kind of name it is does not matter here. */
export function externName(reader: ByteReader): string {
  if (reader.byte() > 1) throw notKnown("a name with attributes");
  return reader.name();
}

export function notKnown(what: string): ComponentRefused {
  return new ComponentRefused(
    `The component has ${what}, which the server does not know.`,
    "Build it with tools for the component model of WASI 0.2, without async.",
  );
}

/** Reads the types of one scope in order; each gets the next number. */
export class TypeReader {
  readonly #scope: TypeScope;
  readonly #depth: number;

  constructor(scope: TypeScope, depth = 0) {
    if (depth > NESTING_MAX) throw notKnown(`types nested more than ${NESTING_MAX} deep`);
    this.#scope = scope;
    this.#depth = depth;
  }

  /** One definition of the type section. */
  define(reader: ByteReader): void {
    this.add(this.#definition(reader));
  }

  add(type: TypeDefinition): void {
    const { types } = this.#scope;
    if (types.length === TYPES_MAX) throw notKnown(`more than ${TYPES_MAX} types`);
    types.push(type);
  }

  at(index: number): TypeDefinition {
    return this.#scope.types[index] ?? OTHER;
  }

  #definition(reader: ByteReader): TypeDefinition {
    const code = reader.byte();
    switch (code) {
      case 0x40:
        return { kind: "function", text: cut(this.#function(reader)) };
      case 0x43:
        return { kind: "function", text: cut(`async ${this.#function(reader)}`) };
      case 0x41:
      case 0x42: {
        const exports = this.#nested(reader);
        return code === 0x42 ? { kind: "instance", exports } : OTHER;
      }
      case 0x3f:
        reader.skip(1);
        optional(reader, () => reader.u32());
        return { kind: "value", text: "resource" };
      default:
        return { kind: "value", text: cut(this.#value(code, reader)) };
    }
  }

  #function(reader: ByteReader): string {
    const parameters = vector(reader, () => this.#labelled(reader));
    const answer = reader.byte() === 0 ? ` -> ${this.#reference(reader)}` : noAnswer(reader);
    return `(${parameters.join(", ")})${answer}`;
  }

  #labelled(reader: ByteReader): string {
    return `${reader.name()}: ${this.#reference(reader)}`;
  }

  #value(code: number, reader: ByteReader): string {
    const named = (): string => reader.name();
    const one = (): string => this.#reference(reader);
    const perhaps = (): string => optional(reader, one) ?? "_";
    switch (code) {
      case 0x72:
        return `record{${vector(reader, () => this.#labelled(reader)).join(", ")}}`;
      case 0x71:
        return `variant{${vector(reader, () => this.#case(reader)).join(", ")}}`;
      case 0x70:
        return `list<${one()}>`;
      case 0x6f:
        return `tuple<${vector(reader, one).join(", ")}>`;
      case 0x6e:
        return `flags{${vector(reader, named).join(", ")}}`;
      case 0x6d:
        return `enum{${vector(reader, named).join(", ")}}`;
      case 0x6b:
        return `option<${one()}>`;
      case 0x6a:
        return `result<${perhaps()}, ${perhaps()}>`;
      case 0x69:
        reader.u32();
        return "own<resource>";
      case 0x68:
        reader.u32();
        return "borrow<resource>";
      default: {
        const primitive = PRIMITIVES.get(code);
        if (primitive === undefined) throw notKnown(`a type of kind 0x${code.toString(16)}`);
        return primitive;
      }
    }
  }

  #case(reader: ByteReader): string {
    const name = reader.name();
    const payload = optional(reader, () => this.#reference(reader));
    reader.skip(1);
    return payload === undefined ? name : `${name}(${payload})`;
  }

  /** A primitive, or a type by its number. */
  #reference(reader: ByteReader): string {
    const value = reader.s33();
    if (value < 0) return PRIMITIVES.get(value + 0x80) ?? "_";
    const type = this.at(value);
    return type.kind === "value" ? type.text : "_";
  }

  /** The exports of an instance type; those of a component type are of no interest. */
  #nested(reader: ByteReader): ReadonlyMap<string, TypeDefinition> {
    const exports = new Map<string, TypeDefinition>();
    const instances: (ReadonlyMap<string, TypeDefinition> | undefined)[] = [];
    const inner = new TypeReader(
      { outer: this.#scope, types: [], exportsOf: (instance) => instances[instance] },
      this.#depth + 1,
    );
    vector(reader, () => {
      const kind = reader.byte();
      if (kind === 1) inner.define(reader);
      else if (kind === 2) inner.alias(reader, instances);
      else if (kind === 3 || kind === 4) {
        const name = externName(reader);
        const type = inner.external(reader, instances);
        if (kind === 4) exports.set(name, type);
      } else throw notKnown("a core type inside a type");
    });
    return exports;
  }

  /** An alias inside a type: of a type of an instance, or of a place around it. */
  alias(reader: ByteReader, instances: (ReadonlyMap<string, TypeDefinition> | undefined)[]): void {
    const sort = reader.byte();
    if (sort === 0) reader.skip(1);
    const type = this.aliased(reader);
    if (sort === 3) this.add(type);
    else if (sort === 5) instances.push(type.kind === "instance" ? type.exports : undefined);
  }

  /** The target of an alias, where that is a type. */
  aliased(reader: ByteReader): TypeDefinition {
    const kind = reader.byte();
    const first = reader.u32();
    if (kind === 2) return this.#outer(first, reader.u32());
    const name = reader.name();
    return (kind === 0 && this.#scope.exportsOf(first)?.get(name)) || OTHER;
  }

  #outer(levels: number, index: number): TypeDefinition {
    let scope: TypeScope | undefined = this.#scope;
    for (let left = levels; left > 0 && scope !== undefined; left--) scope = scope.outer;
    return scope?.types[index] ?? OTHER;
  }

  /** What an import or export is; types and instances get the next number of their kind. */
  external(
    reader: ByteReader,
    instances: (ReadonlyMap<string, TypeDefinition> | undefined)[],
  ): TypeDefinition {
    const kind = reader.byte();
    switch (kind) {
      case 0:
        reader.skip(1);
        reader.u32();
        return OTHER;
      case 3: {
        const isResource = reader.byte() === 1;
        const type: TypeDefinition = isResource
          ? { kind: "value", text: "resource" }
          : this.at(reader.u32());
        this.add(type);
        return type;
      }
      case 1:
      case 4:
        return this.at(reader.u32());
      case 5: {
        const type = this.at(reader.u32());
        instances.push(type.kind === "instance" ? type.exports : undefined);
        return type;
      }
      default:
        throw notKnown("a value as import or export");
    }
  }
}

function noAnswer(reader: ByteReader): string {
  if (reader.u32() > 0) throw notKnown("a function with named results");
  return "";
}

function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}
