/** Code of a name that travels as an extension instead. */
export const OTHER: u8 = 255;

const PERFORMATIVES: StaticArray<string> = [
  "inform",
  "request",
  "query-if",
  "query-ref",
  "cfp",
  "propose",
  "accept-proposal",
  "reject-proposal",
  "agree",
  "refuse",
  "failure",
  "not-understood",
  "subscribe",
  "cancel",
  "confirm",
  "disconfirm",
  "inform-if",
  "inform-ref",
  "propagate",
  "proxy",
  "request-when",
  "request-whenever",
];
const CONTENT_TYPES: StaticArray<string> = [
  "application/octet-stream",
  "application/json",
  "text/plain",
];

function codeOf(names: StaticArray<string>, name: string): u8 {
  for (let code = 0; code < names.length; code++) {
    if (names[code] == name) return u8(code);
  }
  return OTHER;
}

export function performativeCode(name: string): u8 {
  return codeOf(PERFORMATIVES, name);
}

/** The name behind a code of the table; empty for codes outside it. */
export function performativeName(code: u8): string {
  return i32(code) < PERFORMATIVES.length ? PERFORMATIVES[code] : "";
}

export function contentTypeCode(name: string): u8 {
  return codeOf(CONTENT_TYPES, name);
}

export function contentTypeName(code: u8): string {
  return i32(code) < CONTENT_TYPES.length ? CONTENT_TYPES[code] : "";
}

// Tags of extensions.
export const CONVERSATION_ID: u8 = 1;
export const REPLY_WITH: u8 = 2;
export const IN_REPLY_TO: u8 = 3;
export const REPLY_BY: u8 = 4;
export const ONTOLOGY: u8 = 5;
export const LANGUAGE: u8 = 6;
export const PROTOCOL: u8 = 7;
export const PERFORMATIVE: u8 = 8;
export const CONTENT_TYPE: u8 = 9;
export const HEADER: u8 = 10;
export const ERROR_CODE: u8 = 12;
