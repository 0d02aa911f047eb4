/** The API as its protocol files describe it: what REST is made of. */
import { readFileSync } from "node:fs";
import {
  createFileRegistry,
  type DescEnum,
  type DescMessage,
  type DescMethod,
  fromBinary,
  getOption,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const DESCRIPTORS = new URL("../../gen/descriptors.binpb", import.meta.url);

export type Verb = "GET" | "POST" | "DELETE";

/** How a method is called over HTTP. */
export interface HttpRule {
  /** For example caxton.v1.ActorService. */
  readonly service: string;
  readonly method: DescMethod;
  readonly verb: Verb;
  /** With {field}, {field=*\/*} and {field=**} for fields of the request. */
  readonly path: string;
  /** The field that is the body, "*" for all of the request, "" for none. */
  readonly body: string;
}

interface RuleOption {
  readonly pattern: { readonly case: string; readonly value: string };
  readonly body: string;
}

export function readHttpRules(): readonly HttpRule[] {
  const registry = createFileRegistry(
    fromBinary(FileDescriptorSetSchema, readFileSync(DESCRIPTORS)),
  );
  const http = registry.getExtension("google.api.http")!;
  const rules: HttpRule[] = [];
  for (const service of registry) {
    if (service.kind !== "service" || !service.typeName.startsWith("caxton.")) continue;
    for (const method of service.methods) {
      const { pattern, body } = getOption(method, http) as RuleOption;
      const verb = pattern.case.toUpperCase() as Verb;
      rules.push({ service: service.typeName, method, verb, path: pattern.value, body });
    }
  }
  return rules;
}

/** Names of the fields in a path. */
export function pathFields(path: string): string[] {
  return [...path.matchAll(/\{(\w+)(?:=[^}]*)?\}/g)].map(([, name]) => name!);
}

/** Fields of the request that are neither in the path nor the body. */
export function queryFields({ method, path, body }: HttpRule): DescMessage["fields"] {
  if (body === "*") return [];
  const taken = new Set([...pathFields(path), body]);
  return method.input.fields.filter(({ name }) => !taken.has(name));
}

/** ACTOR_STATUS_IDLE of ActorStatus is "idle"; the value for none has no name. */
export function enumName({ localName }: DescEnum["values"][number]): string {
  return localName.toLowerCase().replaceAll("_", "-");
}
