/** The body of a request, bounded, as the fields it stands for. */
import type { IncomingMessage } from "node:http";
import { Busboy } from "@fastify/busboy";
import { CaxtonError } from "../../base/errors.ts";
import { isJsonType, refusal } from "../service/validate.ts";
import { BASE64 } from "./schema.ts";

const FORM_TYPE = "multipart/form-data";
/** Also as a file it is text. */
const TEXT_FIELD = "manifest";

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
    throw refusal({ at: "body", message: `is not JSON: ${(error as Error).message}` });
  }
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) break;
      chunks.push(chunk);
    }
  } catch {
    throw refusal({ at: "body", message: "ends early: the connection was closed" });
  }
  if (bytes <= bytesMax) return Buffer.concat(chunks);
  throw new CaxtonError("REQUEST_TOO_LARGE", `The body has more than ${bytesMax} bytes.`);
}

/** Files become bytes in base64, which JSON has under the name with Base64 behind it; the rest is text. */
function formFields(body: Buffer, type: string): Promise<unknown> {
  const fields: Record<string, unknown> = {};
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      reject(refusal({ at: "body", message: `is no ${FORM_TYPE}` }));
    };
    try {
      // The whole is bounded already; what is longer than the default would be cut without a word.
      const limits = { fieldSize: body.length };
      const form = new Busboy({ headers: { "content-type": type }, limits });
      form.on("field", (name, value) => (fields[name] = value));
      form.on("file", (name, file) => {
        const chunks: Buffer[] = [];
        // A form that ends inside of a file fails there as well; unheard, that would end the process.
        file.on("error", fail);
        file.on("data", (chunk: Buffer) => chunks.push(chunk));
        file.on("end", () => {
          const bytes = Buffer.concat(chunks);
          if (name === TEXT_FIELD) fields[name] = bytes.toString();
          else fields[name + BASE64] = bytes.toString("base64");
        });
      });
      form.on("error", fail);
      form.on("finish", () => resolve(fields));
      form.end(body);
    } catch {
      fail();
    }
  });
}
