/** The body of a request, bounded, as the fields it stands for. */
import type { IncomingMessage } from "node:http";
import { CaxtonError } from "../../base/errors.ts";
import { isJsonType } from "../services/validate.ts";

const FORM_TYPE = "multipart/form-data";

/** The JSON value of the body; undefined without one. */
export async function readJsonBody(request: IncomingMessage, bytesMax: number): Promise<unknown> {
  const body = await readBody(request, bytesMax);
  if (body.length === 0) return undefined;
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith(FORM_TYPE)) return formFields(body, type);
  if (!isJsonType(type)) {
    throw new CaxtonError("UNSUPPORTED_MEDIA_TYPE", `The body is "${type}", not application/json.`);
  }
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    const findings = [{ at: "body", message: `is not JSON: ${(error as Error).message}` }];
    throw new CaxtonError("INVALID_ARGUMENT", undefined, { findings });
  }
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      throw new CaxtonError("REQUEST_TOO_LARGE", `The body has more than ${bytesMax} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Files become bytes in base64, which JSON has under the name with Base64 behind it; the rest is text. */
async function formFields(body: Buffer, type: string): Promise<unknown> {
  const fields: Record<string, unknown> = {};
  try {
    const bytes = new Uint8Array(body);
    const form = await new Response(bytes, { headers: { "content-type": type } }).formData();
    for (const [name, value] of form) {
      if (typeof value === "string") fields[name] = value;
      else if (name === "manifest") fields[name] = await value.text();
      else fields[`${name}Base64`] = Buffer.from(await value.arrayBuffer()).toString("base64");
    }
  } catch {
    const findings = [{ at: "body", message: `is no ${FORM_TYPE}` }];
    throw new CaxtonError("INVALID_ARGUMENT", undefined, { findings });
  }
  return fields;
}
