/** Reads a component's sections into index spaces. Throws FormatError and ComponentRefused. */
import { ByteReader, FormatError } from "../rewrite/byte-reader.ts";
import {
  ComponentRefused,
  type CanonicalOptions,
  type ComponentModel,
  type CoreInstance,
  type InstanceExports,
  type Item,
  type Sort,
} from "./component-model.ts";
import { TypeReader, externName, notKnown, optional, vector } from "./component-types.ts";
import type { TypeDefinition } from "./component-types.ts";

const HEADER_BYTES = 8;

const CORE_SORTS = new Map<number, Sort>([
  [0x00, "core function"],
  [0x01, "core table"],
  [0x02, "core memory"],
  [0x03, "core global"],
  [0x10, "core type"],
  [0x11, "core module"],
  [0x12, "core instance"],
]);
const SORTS = new Map<number, Sort>([
  [0x01, "function"],
  [0x02, "value"],
  [0x03, "type"],
  [0x04, "component"],
  [0x05, "instance"],
]);

const ENCODINGS = ["utf8", "utf16", "latin1+utf16"] as const;

export function parseComponent(bytes: Uint8Array): ComponentModel {
  return new ComponentParser().read(new ByteReader(bytes, HEADER_BYTES));
}

class ComponentParser {
  readonly #model: ComponentModel = {
    modules: [],
    coreInstances: [],
    coreFunctions: [],
    coreMemories: [],
    coreTables: [],
    functions: [],
    instances: [],
    exports: new Map(),
  };
  readonly #types: TypeDefinition[] = [];
  readonly #typeReader = new TypeReader({
    outer: undefined,
    types: this.#types,
    exportsOf: (instance) => this.#model.instances[instance]?.exports,
  });
  /** By number of its section. */
  readonly #sections: ReadonlyMap<number, (reader: ByteReader) => void> = new Map([
    [
      1,
      (reader: ByteReader) =>
        void this.#model.modules.push({ start: reader.offset, end: reader.end }),
    ],
    [2, (reader: ByteReader) => this.#each(reader, () => this.#coreInstance(reader))],
    [3, (reader: ByteReader) => this.#coreTypes(reader)],
    // A component inside is read only if something that runs would need it, which is refused there.
    [4, () => undefined],
    [5, (reader: ByteReader) => this.#each(reader, () => this.#instance(reader))],
    [6, (reader: ByteReader) => this.#each(reader, () => this.#alias(reader))],
    [7, (reader: ByteReader) => this.#each(reader, () => this.#typeReader.define(reader))],
    [8, (reader: ByteReader) => this.#each(reader, () => this.#canonical(reader))],
    [10, (reader: ByteReader) => this.#each(reader, () => this.#import(reader))],
    [11, (reader: ByteReader) => this.#each(reader, () => this.#export(reader))],
  ]);

  read(reader: ByteReader): ComponentModel {
    while (!reader.done) {
      const id = reader.byte();
      const content = reader.part(reader.u32());
      if (id === 0) continue;
      const section = this.#sections.get(id);
      if (section === undefined) {
        throw notKnown(id === 9 ? "a start function" : `a section of kind ${id}`);
      }
      section(content);
      if (id !== 1 && id !== 4 && !content.done) {
        throw new FormatError(content.offset, "is longer than what it holds");
      }
    }
    return this.#model;
  }

  #each(reader: ByteReader, read: () => void): void {
    vector(reader, read);
  }

  #coreTypes(reader: ByteReader): void {
    if (reader.u32() > 0) throw notKnown("core types of its own");
  }

  #coreInstance(reader: ByteReader): void {
    this.#model.coreInstances.push(this.#coreInstanceExpression(reader));
  }

  #coreInstanceExpression(reader: ByteReader): CoreInstance {
    if (reader.byte() === 0) {
      const module = reader.u32();
      const imports = vector(reader, () => {
        const name = reader.name();
        reader.skip(1);
        return [name, reader.u32()] as const;
      });
      return { kind: "module", module, imports: new Map(imports) };
    }
    const exports = vector(reader, () => {
      const name = reader.name();
      return [name, item(reader, CORE_SORTS)] as const;
    });
    return { kind: "bundle", exports: new Map(exports) };
  }

  /** Made of nested components or of what there is: nothing that runs here needs its functions. */
  #instance(reader: ByteReader): void {
    if (reader.byte() === 0) {
      reader.u32();
      vector(reader, () => [reader.name(), this.#item(reader)]);
    } else {
      vector(reader, () => [externName(reader), this.#item(reader)]);
    }
    this.#model.instances.push({ kind: "made", exports: new Map() });
  }

  #item(reader: ByteReader): Item {
    const { offset } = reader;
    if (reader.byte() === 0) return item(reader, CORE_SORTS);
    reader.offset = offset;
    return item(reader, SORTS);
  }

  #sort(reader: ByteReader): Sort {
    const { offset } = reader;
    const code = reader.byte();
    const sort = code === 0 ? CORE_SORTS.get(reader.byte()) : SORTS.get(code);
    if (sort === undefined) throw new FormatError(offset, "names a sort that does not exist");
    return sort;
  }

  #alias(reader: ByteReader): void {
    const sort = this.#sort(reader);
    if (sort === "type") {
      this.#typeReader.add(this.#typeReader.aliased(reader));
      return;
    }
    const kind = reader.byte();
    const instance = reader.u32();
    if (kind === 2) {
      reader.u32();
      throw notKnown(`an alias of a ${sort} outside of it`);
    }
    const name = reader.name();
    const model = this.#model;
    if (sort === "core function") model.coreFunctions.push({ kind: "export", instance, name });
    else if (sort === "core memory") model.coreMemories.push({ instance, name });
    else if (sort === "core table") model.coreTables.push({ instance, name });
    else if (sort === "function") model.functions.push({ kind: "export", instance, name });
    else if (sort === "instance") {
      const type = model.instances[instance]?.exports.get(name);
      model.instances.push({ kind: "made", exports: exportsOf(type) });
    }
  }

  #canonical(reader: ByteReader): void {
    const code = reader.byte();
    const { coreFunctions, functions } = this.#model;
    if (code === 0x00) {
      reader.skip(1);
      const core = reader.u32();
      const options = canonicalOptions(reader);
      functions.push({ kind: "lifted", core, options, type: this.#types[reader.u32()] });
    } else if (code === 0x01) {
      reader.skip(1);
      const lowered = reader.u32();
      const options = canonicalOptions(reader);
      coreFunctions.push({ kind: "lowered", function: lowered, options });
    } else if (code >= 0x02 && code <= 0x04) {
      reader.u32();
      const name = ["resource.new", "resource.drop", "resource.rep"][code - 2]!;
      coreFunctions.push({ kind: "builtin", name });
    } else {
      throw new ComponentRefused(
        `The component uses the async or thread functions of the component model (0x${code.toString(16)}).`,
        "Build it without async: what takes time here is an effect whose answer comes as a message.",
      );
    }
  }

  #import(reader: ByteReader): void {
    const name = externName(reader);
    const { instances, functions } = this.#model;
    const made: (InstanceExports | undefined)[] = [];
    const kind = reader.bytes[reader.offset];
    const type = this.#typeReader.external(reader, made);
    if (kind === 5) instances.push({ kind: "import", name, exports: exportsOf(type) });
    else if (kind === 1) functions.push({ kind: "import", name });
  }

  /** An export has an index of its own, beside the one of what it exports. */
  #export(reader: ByteReader): void {
    const name = externName(reader);
    const found = this.#item(reader);
    optional(reader, () => this.#skipExternal(reader));
    const { instances, functions, exports } = this.#model;
    exports.set(name, found);
    if (found.sort === "function") functions.push(at(functions, found.index, "function"));
    else if (found.sort === "instance") instances.push(at(instances, found.index, "instance"));
    else if (found.sort === "type") this.#typeReader.add(this.#typeReader.at(found.index));
  }

  /** The type an export is given, which is that of what it exports. */
  #skipExternal(reader: ByteReader): void {
    const kind = reader.byte();
    if (kind === 0 || kind === 3) {
      const bound = reader.byte();
      if (kind === 3 && bound === 1) return;
    }
    reader.u32();
  }
}

function exportsOf(type: TypeDefinition | undefined): InstanceExports {
  return type?.kind === "instance" ? type.exports : new Map();
}

function at<T>(space: readonly T[], index: number, what: string): T {
  const found = space[index];
  if (found === undefined) throw new FormatError(0, `has no ${what} ${index}`);
  return found;
}

function item(reader: ByteReader, sorts: ReadonlyMap<number, Sort>): Item {
  const { offset } = reader;
  const sort = sorts.get(reader.byte());
  if (sort === undefined) throw new FormatError(offset, "names a sort that does not exist");
  return { sort, index: reader.u32() };
}

function canonicalOptions(reader: ByteReader): CanonicalOptions {
  let options: CanonicalOptions = { encoding: "utf8", isAsync: false };
  vector(reader, () => {
    const code = reader.byte();
    if (code <= 2) options = { ...options, encoding: ENCODINGS[code]! };
    else if (code === 3) options = { ...options, memory: reader.u32() };
    else if (code === 4) options = { ...options, realloc: reader.u32() };
    else if (code === 5) options = { ...options, postReturn: reader.u32() };
    else if (code === 6) options = { ...options, isAsync: true };
    else if (code === 7) {
      reader.u32();
      options = { ...options, isAsync: true };
    } else throw notKnown(`a canonical option 0x${code.toString(16)}`);
  });
  return options;
}
