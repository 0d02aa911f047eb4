/** The parts of a message as the host takes them; it puts them together itself, which is faster. */
import type { Content, MessageOptions } from "caxton";
import { CONTENT_TYPES, OTHER, PERFORMATIVES, TAG } from "./envelope.ts";
import { host } from "./host.ts";

export interface Draft {
  /** Performative, content type in bits 8 to 15, and bit 16 when the content is bytes. */
  readonly codes: number;
  readonly content: string | Uint8Array;
  readonly extensions: Uint8Array | undefined;
}

const TYPE_SHIFT = 8;
const IS_BYTES = 1 << 16;
const [OCTETS, JSON_TEXT, PLAIN_TEXT] = [0, 1, 2] as const;
const EXTENSION_HEADER_BYTES = 4;

/** `performative` is a code of the table, for when the options name none. */
export function draftOf(content: Content, performative: number, options?: MessageOptions): Draft {
  let body: string | Uint8Array;
  let type: number;
  if (typeof content === "string") {
    body = content;
    type = PLAIN_TEXT;
  } else if (content instanceof Uint8Array) {
    body = content;
    type = OCTETS | (IS_BYTES >> TYPE_SHIFT);
  } else {
    body = jsonOf(content);
    type = JSON_TEXT;
  }
  const codes = performative | (type << TYPE_SHIFT);
  const draft = { codes, content: body, extensions: undefined };
  return options === undefined ? draft : withOptions(draft, options);
}

/** A content's bytes alone. */
export function bytesOf(content: Content): Uint8Array {
  if (content instanceof Uint8Array) return content;
  return host.encode(typeof content === "string" ? content : jsonOf(content));
}

function jsonOf(content: Content): string {
  const json = JSON.stringify(content) as string | undefined;
  if (json === undefined) throw new TypeError(`a ${typeof content} can't be sent`);
  return json;
}

function withOptions(draft: Draft, options: MessageOptions): Draft {
  const { performative, contentType, headers = {} } = options;
  let { codes } = draft;
  const extensions: [number, Uint8Array][] = [];
  const add = (tag: number, value: string | undefined): void => {
    if (value !== undefined) extensions.push([tag, host.encode(value)]);
  };
  add(TAG.conversationId, options.conversationId);
  add(TAG.replyWith, options.replyWith);
  add(TAG.ontology, options.ontology);
  add(TAG.language, options.language);
  add(TAG.protocol, options.protocol);
  if (performative !== undefined) {
    const code = codeOf(PERFORMATIVES, performative);
    codes = (codes & ~0xff) | code;
    if (code === OTHER) add(TAG.performative, performative);
  }
  if (contentType !== undefined) {
    const code = codeOf(CONTENT_TYPES, contentType);
    codes = (codes & ~0xff00) | (code << TYPE_SHIFT);
    if (code === OTHER) add(TAG.contentType, contentType);
  }
  for (const [key, value] of Object.entries(headers)) add(TAG.header, `${key}\0${value}`);
  return { ...draft, codes, extensions: encoded(extensions) };
}

function codeOf(names: readonly string[], name: string): number {
  const code = names.indexOf(name);
  return code < 0 ? OTHER : code;
}

function encoded(extensions: readonly [number, Uint8Array][]): Uint8Array | undefined {
  if (extensions.length === 0) return undefined;
  const size = extensions.reduce(
    (sum, [, value]) => sum + EXTENSION_HEADER_BYTES + value.length,
    0,
  );
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const [tag, value] of extensions) {
    bytes[at] = tag;
    bytes[at + 2] = value.length & 0xff;
    bytes[at + 3] = value.length >> 8;
    bytes.set(value, at + EXTENSION_HEADER_BYTES);
    at += EXTENSION_HEADER_BYTES + value.length;
  }
  return bytes;
}
