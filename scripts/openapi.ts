/** The OpenAPI description of the REST API, made of the protocol files and their comments. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  fromBinary,
  ScalarType,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ERRORS } from "../src/base/errors.ts";
import { VERSION } from "../src/base/version.ts";
import {
  enumName,
  type HttpRule,
  pathFields,
  queryFields,
  readHttpRules,
} from "../src/api/rest/schema.ts";

const ROOT = join(import.meta.dirname, "..");

type Json = Record<string, unknown>;
type Comments = ReadonlyMap<string, string>;

const DESCRIPTION = `The same methods as gRPC, as JSON.

- Times and other whole numbers are JSON numbers, choices are short names in lower case, and what is empty may be
  left out.
- Bytes are text under their own name where they are text, and base64 under the name with \`Base64\` behind it. The
  \`content\` of a message is a JSON value when its \`contentType\` says JSON.
- \`Idempotency-Key\` on a message makes a repeat safe: the first answer comes again.
- Streams are server-sent events.
- Failures are problem details (RFC 9457) with the codes of the error table.`;

export function openApi(): Json {
  const comments = readComments();
  const schemas: Json = {};
  const paths: Record<string, Json> = {};
  for (const rule of readHttpRules()) {
    const path = rule.path.replaceAll(/\{(\w+)(?:=[^}]*)?\}/g, "{$1}");
    paths[path] ??= {};
    paths[path][rule.verb.toLowerCase()] = operation(rule, comments, schemas);
  }
  schemas["Problem"] = problemSchema();
  return {
    openapi: "3.1.0",
    info: { title: "Caxton", version: VERSION, description: DESCRIPTION },
    paths: sorted(paths),
    components: { schemas: sorted(schemas) },
  };
}

function sorted<T>(entries: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function operation(rule: HttpRule, comments: Comments, schemas: Json): Json {
  const { method, service, path } = rule;
  const inPath = new Set(pathFields(path));
  const parameters = [
    ...method.input.fields.filter(({ name }) => inPath.has(name)).map((f) => parameter(f, "path")),
    ...queryFields(rule).map((field) => parameter(field, "query")),
    ...(carriesMessage(method) ? [idempotencyKey()] : []),
  ];
  const body = bodyOf(rule);
  return {
    operationId: method.name,
    tags: [
      service
        .split(".")
        .at(-1)!
        .replace(/Service$/, ""),
    ],
    ...described(comments.get(`${service}.${method.name}`)),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: jsonContent(reference(body)) }),
    responses: {
      200: success(method, reference),
      default: {
        description: "A failure; see the error table.",
        content: { "application/problem+json": { schema: reference("Problem") } },
      },
    },
  };

  function parameter(field: DescField, place: "path" | "query"): Json {
    return {
      name: place === "path" ? field.name : field.jsonName,
      in: place,
      required: place === "path",
      ...described(comments.get(`${method.input.typeName}.${field.name}`)),
      schema: fieldSchema(field, reference),
    };
  }

  function reference(of: DescMessage | DescEnum | "Problem"): Json {
    if (of === "Problem") return { $ref: "#/components/schemas/Problem" };
    if (schemas[of.name] === undefined) {
      schemas[of.name] = {};
      schemas[of.name] =
        of.kind === "enum" ? enumSchema(of) : messageSchema(of, comments, reference);
    }
    return { $ref: `#/components/schemas/${of.name}` };
  }
}

function carriesMessage({ input }: DescMethod): boolean {
  return input.fields.some((field) => field.message?.name === "OutgoingMessage");
}

function idempotencyKey(): Json {
  return {
    name: "Idempotency-Key",
    in: "header",
    required: false,
    description: "Id of the message: a repeat with the same one is not a new message.",
    schema: { type: "string" },
  };
}

function bodyOf({ method, body }: HttpRule): DescMessage | undefined {
  if (body === "*") return method.input;
  return method.input.fields.find(({ name }) => name === body)?.message;
}

function success(method: DescMethod, reference: (of: DescMessage) => Json): Json {
  const schema = reference(method.output);
  if (method.methodKind === "unary") return { description: "The answer.", ...jsonContent(schema) };
  const description = "Events, each with one of these as its data.";
  return { description, content: { "text/event-stream": { schema } } };
}

function jsonContent(schema: Json): Json {
  return { content: { "application/json": { schema } } };
}

function messageSchema(
  message: DescMessage,
  comments: Comments,
  reference: (of: DescMessage | DescEnum) => Json,
): Json {
  const properties: Json = {};
  const hasType = message.fields.some(({ name }) => name === "content_type");
  for (const field of message.fields) {
    const text = described(comments.get(`${message.typeName}.${field.name}`));
    const isBytes = field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES;
    if (isBytes) {
      const isContent = hasType && field.name === "content";
      properties[field.jsonName] = { ...text, ...(isContent ? {} : { type: "string" }) };
      properties[`${field.jsonName}Base64`] = { ...text, type: "string", format: "byte" };
    } else properties[field.jsonName] = { ...fieldSchema(field, reference), ...text };
  }
  return { type: "object", ...described(comments.get(message.typeName)), properties };
}

function enumSchema({ values }: DescEnum): Json {
  return { type: "string", enum: values.slice(1).map(enumName) };
}

function fieldSchema(field: DescField, reference: (of: DescMessage | DescEnum) => Json): Json {
  switch (field.fieldKind) {
    case "message":
      return reference(field.message);
    case "enum":
      return reference(field.enum);
    case "scalar":
      return scalarSchema(field.scalar);
    case "list":
      return { type: "array", items: itemSchema(field, reference) };
    case "map":
      return { type: "object", additionalProperties: itemSchema(field, reference) };
  }
}

function itemSchema(
  { message, enum: choice, scalar }: DescField,
  reference: (of: DescMessage | DescEnum) => Json,
): Json {
  const of = message ?? choice;
  return of === undefined ? scalarSchema(scalar!) : reference(of);
}

function scalarSchema(type: ScalarType): Json {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BYTES:
      return { type: "string", format: "byte" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.DOUBLE:
      return { type: "number" };
    case ScalarType.UINT32:
      return { type: "integer", minimum: 0 };
    default:
      return { type: "integer" };
  }
}

function problemSchema(): Json {
  const text = { type: "string" };
  const finding = { type: "object", properties: { at: text, message: text, hint: text } };
  return {
    type: "object",
    properties: {
      type: text,
      title: text,
      status: { type: "integer" },
      detail: text,
      code: { type: "string", enum: Object.keys(ERRORS) },
      hint: text,
      findings: { type: "array", items: finding },
      traceId: text,
      retryable: { type: "boolean" },
      retryAfterMs: { type: "integer" },
    },
    required: ["type", "title", "status", "detail", "code", "traceId", "retryable"],
  };
}

function described(text: string | undefined): { description?: string } {
  return text === undefined ? {} : { description: text };
}

/** Numbers of fields in descriptors, as paths of source locations have them. */
const FILE = { message: 4, service: 6 };
const MEMBERS = 2;

/** Comments in front of services' methods, messages and fields, by full name. */
function readComments(): Comments {
  const buf = join(ROOT, "node_modules/.bin/buf");
  const bytes = execFileSync(buf, ["build", "--as-file-descriptor-set", "--output", "-"], {
    cwd: ROOT,
    maxBuffer: 64 * 1024 * 1024,
  });
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  const comments = new Map<string, string>();
  for (const file of registry.files) {
    for (const { path, leadingComments } of file.proto.sourceCodeInfo?.location ?? []) {
      const [kind, index, members, member] = path;
      const owner =
        kind === FILE.message
          ? file.messages[index!]
          : kind === FILE.service
            ? file.services[index!]
            : undefined;
      if (owner === undefined || leadingComments === "") continue;
      const text = leadingComments.trim().replaceAll(/\s*\n\s*/g, " ");
      if (path.length === 2) comments.set(owner.typeName, text);
      if (path.length !== 4 || members !== MEMBERS) continue;
      const of = owner.kind === "message" ? owner.fields[member!] : owner.methods[member!];
      if (of !== undefined) comments.set(`${owner.typeName}.${of.name}`, text);
    }
  }
  return comments;
}
