/**
 * Types of the component model as one host needs them: how they are written, where their parts lie in
 * memory, and which core values they become as parameters.
 */
import type { FunctionType, ValueType } from "../rewrite/module-model.ts";

export interface WitType {
  /** Without names of types: two types are the same when their texts are. */
  readonly text: string;
  readonly bytes: number;
  readonly align: number;
  readonly flat: readonly ValueType[];
}

export interface WitRecord<Field extends string> extends WitType {
  readonly at: Readonly<Record<Field, number>>;
}

export interface WitVariant extends WitType {
  /** Where the payload lies; the case stands at 0, in one byte. */
  readonly payloadAt: number;
}

export interface WitFunction {
  readonly text: string;
  /** As a core module imports it. */
  readonly imported: FunctionType;
  /** As a core module exports it. */
  readonly exported: FunctionType;
}

/** More parameters go by memory: one pointer to all of them. */
const FLAT_PARAMETERS_MAX = 16;
/** More results do: one pointer to them. */
const FLAT_RESULTS_MAX = 1;

const scalar = (text: string, bytes: number, core: ValueType): WitType => ({
  text,
  bytes,
  align: bytes,
  flat: [core],
});

export const BOOL = scalar("bool", 1, "i32");
const U8 = scalar("u8", 1, "i32");
export const U32 = scalar("u32", 4, "i32");
export const U64 = scalar("u64", 8, "i64");
export const F64 = scalar("f64", 8, "f64");

const byPointer = (text: string): WitType => ({ text, bytes: 8, align: 4, flat: ["i32", "i32"] });

export const STRING = byPointer("string");

export function list(element: WitType): WitType {
  return byPointer(`list<${element.text}>`);
}

export const BYTES = list(U8);

function aligned(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

export function record<Field extends string>(
  fields: Readonly<Record<Field, WitType>>,
): WitRecord<Field> {
  const named = Object.entries(fields) as [Field, WitType][];
  const { at, ...laid } = layOut(named.map(([, type]) => type));
  const texts = named.map(([name, { text }]) => `${name}: ${text}`);
  const places = named.map(([name], i) => [name, at[i]!] as const);
  return {
    ...laid,
    text: `record{${texts.join(", ")}}`,
    at: Object.fromEntries(places) as Record<Field, number>,
  };
}

export function tuple(...types: readonly WitType[]): WitType {
  const { at: _, ...laid } = layOut(types);
  return { ...laid, text: `tuple<${types.map(({ text }) => text).join(", ")}>` };
}

function layOut(types: readonly WitType[]): Omit<WitType, "text"> & { at: number[] } {
  const at: number[] = [];
  let end = 0;
  for (const { bytes, align } of types) {
    const start = aligned(end, align);
    at.push(start);
    end = start + bytes;
  }
  const align = Math.max(...types.map((type) => type.align));
  return { at, bytes: aligned(end, align), align, flat: types.flatMap(({ flat }) => flat) };
}

export function option(type: WitType): WitVariant {
  return { ...variantOf([undefined, type]), text: `option<${type.text}>` };
}

export function result(ok: WitType | undefined, error: WitType): WitVariant {
  return { ...variantOf([ok, error]), text: `result<${ok?.text ?? "_"}, ${error.text}>` };
}

/** At most 256 cases. */
export function variant(cases: Readonly<Record<string, WitType | undefined>>): WitVariant {
  const texts = Object.entries(cases).map(([name, type]) =>
    type === undefined ? name : `${name}(${type.text})`,
  );
  return { ...variantOf(Object.values(cases)), text: `variant{${texts.join(", ")}}` };
}

/** At most 256 cases. */
export function enumeration(...names: readonly string[]): WitType {
  return { ...U8, text: `enum{${names.join(", ")}}` };
}

function variantOf(
  cases: readonly (WitType | undefined)[],
): Omit<WitType, "text"> & { payloadAt: number } {
  const payloads = cases.filter((type) => type !== undefined);
  const align = Math.max(1, ...payloads.map((type) => type.align));
  const bytes = Math.max(0, ...payloads.map((type) => type.bytes));
  const payloadAt = aligned(1, align);
  const flat: ValueType[] = [];
  for (const payload of payloads) {
    payload.flat.forEach((core, i) => (flat[i] = join(flat[i], core)));
  }
  return { payloadAt, bytes: aligned(payloadAt + bytes, align), align, flat: ["i32", ...flat] };
}

/** The core value that holds either. */
function join(one: ValueType | undefined, other: ValueType): ValueType {
  if (one === undefined || one === other) return other;
  const words: readonly ValueType[] = ["i32", "f32"];
  return words.includes(one) && words.includes(other) ? "i32" : "i64";
}

export function witFunction(
  parameters: Readonly<Record<string, WitType>>,
  answer?: WitType,
): WitFunction {
  const named = Object.entries(parameters);
  const texts = named.map(([name, { text }]) => `${name}: ${text}`);
  const flat = named.flatMap(([, type]) => type.flat);
  const params: readonly ValueType[] = flat.length > FLAT_PARAMETERS_MAX ? ["i32"] : flat;
  const results = answer?.flat ?? [];
  const byMemory = results.length > FLAT_RESULTS_MAX;
  return {
    text: `(${texts.join(", ")})${answer === undefined ? "" : ` -> ${answer.text}`}`,
    imported: byMemory ? { params: [...params, "i32"], results: [] } : { params, results },
    exported: { params, results: byMemory ? ["i32"] : results },
  };
}
