/** A message before the host sends it. */
import type { Content, MessageOptions } from "caxton";
import { CONTENT_TYPES, OTHER, PERFORMATIVES, TAG } from "./envelope.ts";
import { bytesOf, host } from "./host.ts";

const HEADER_BYTES = 16;
const EXTENSION_HEADER_BYTES = 4;

/** `receiver` is empty for a reply. */
export function draftOf(
  receiver: string,
  content: Content,
  byDefault: string,
  options: MessageOptions = {},
): Uint8Array {
  const { bytes, contentType } = bytesOf(content);
  const performative = options.performative ?? byDefault;
  const type = options.contentType ?? contentType;
  const performativeCode = codeOf(PERFORMATIVES, performative);
  const typeCode = codeOf(CONTENT_TYPES, type);
  const extensions: [number, Uint8Array][] = [];
  const add = (tag: number, value: string | undefined): void => {
    if (value !== undefined) extensions.push([tag, host.encode(value)]);
  };
  add(TAG.conversationId, options.conversationId);
  add(TAG.replyWith, options.replyWith);
  add(TAG.ontology, options.ontology);
  add(TAG.language, options.language);
  add(TAG.protocol, options.protocol);
  if (performativeCode === OTHER) add(TAG.performative, performative);
  if (typeCode === OTHER) add(TAG.contentType, type);
  for (const [key, value] of Object.entries(options.headers ?? {})) {
    add(TAG.header, `${key}\0${value}`);
  }
  return compose(host.encode(receiver), [performativeCode, typeCode], extensions, bytes);
}

function codeOf(names: readonly string[], name: string): number {
  const code = names.indexOf(name);
  return code < 0 ? OTHER : code;
}

function compose(
  receiver: Uint8Array,
  [performative, type]: readonly [number, number],
  extensions: readonly [number, Uint8Array][],
  content: Uint8Array,
): Uint8Array {
  const extensionBytes = extensions.reduce(
    (sum, [, value]) => sum + EXTENSION_HEADER_BYTES + value.length,
    0,
  );
  const extensionsAt = HEADER_BYTES + receiver.length;
  const contentAt = extensionsAt + extensionBytes;
  const draft = new Uint8Array(contentAt + content.length);
  const view = new DataView(draft.buffer);
  draft[2] = performative;
  draft[3] = type;
  view.setUint16(4, receiver.length, true);
  view.setUint32(8, extensionBytes, true);
  view.setUint32(12, content.length, true);
  draft.set(receiver, HEADER_BYTES);
  let at = extensionsAt;
  for (const [tag, value] of extensions) {
    draft[at] = tag;
    view.setUint16(at + 2, value.length, true);
    draft.set(value, at + EXTENSION_HEADER_BYTES);
    at += EXTENSION_HEADER_BYTES + value.length;
  }
  draft.set(content, contentAt);
  return draft;
}
