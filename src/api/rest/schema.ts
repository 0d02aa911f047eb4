/** The API as its protocol files describe it: what REST is made of. */
import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  fromBinary,
  getOption,
  ScalarType,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { readDescriptors } from "../descriptors.ts";

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
  /** Fields of the request in the path, in its order. */
  readonly pathFields: readonly DescField[];
  /** Those that are neither in the path nor the body. */
  readonly queryFields: readonly DescField[];
}

interface RuleOption {
  readonly pattern: { readonly case: string; readonly value: string };
  readonly body: string;
}

export function readHttpRules(): readonly HttpRule[] {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readDescriptors()));
  const http = registry.getExtension("google.api.http")!;
  const rules: HttpRule[] = [];
  for (const service of registry) {
    if (service.kind !== "service" || !service.typeName.startsWith("caxton.")) continue;
    for (const method of service.methods) {
      const { pattern, body } = getOption(method, http) as RuleOption;
      rules.push({
        service: service.typeName,
        method,
        verb: pattern.case.toUpperCase() as Verb,
        path: pattern.value,
        body,
        ...fieldPlaces(method.input, pattern.value, body),
      });
    }
  }
  return rules;
}

function fieldPlaces(
  { fields }: DescMessage,
  path: string,
  body: string,
): Pick<HttpRule, "pathFields" | "queryFields"> {
  const inPath = [...path.matchAll(/\{(\w+)/g)].map(([, name]) => name!);
  const pathFields = inPath.map((name) => fields.find((field) => field.name === name)!);
  const isFree = ({ name }: DescField): boolean => name !== body && !inPath.includes(name);
  return { pathFields, queryFields: body === "*" ? [] : fields.filter(isFree) };
}

/** Behind the name of bytes in base64. */
export const BASE64 = "Base64";

export function isBytes(field: DescField): boolean {
  return field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES;
}

/** ACTOR_STATUS_IDLE of ActorStatus is "idle"; the value for none has no name. */
export function enumName({ localName }: DescEnum["values"][number]): string {
  return localName.toLowerCase().replaceAll("_", "-");
}
