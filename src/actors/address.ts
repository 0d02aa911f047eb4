/**
 * Actor addresses: `namespace/agent/key` with the key escaped. One escaped form serves REST paths,
 * NATS subjects and the hash, so no token ever holds `/`, `.`, `*`, `>` or a space.
 */
import { CaxtonError } from "../base/errors.ts";

export const SLOTS = 4096;
const KEY_BYTES_MAX = 256;
const DEFAULT_KEY = "default";

/** Longest address in bytes: two names of 63, two slashes, a key whose every byte is escaped. */
export const ADDRESS_BYTES_MAX = 63 + 1 + 63 + 1 + KEY_BYTES_MAX * 3;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const SLASH = 0x2f;
const TILDE = 0x7e;

const NAME = 1;
const KEY = 2;
/** Which part of an address a byte may stand in. */
const BYTE_CLASS = new Uint8Array(256);
for (const c of "abcdefghijklmnopqrstuvwxyz0123456789-") BYTE_CLASS[c.charCodeAt(0)] = NAME | KEY;
for (const c of "ABCDEFGHIJKLMNOPQRSTUVWXYZ_~") BYTE_CLASS[c.charCodeAt(0)] = KEY;

const NAME_PATTERN = /^[a-z0-9-]{1,63}$/;
const utf8 = new TextEncoder();
const utf8Strict = new TextDecoder("utf-8", { fatal: true });

export interface Address {
  readonly namespace: string;
  readonly agent: string;
  /** Unescaped. */
  readonly key: string;
}

function isName(text: string): boolean {
  return NAME_PATTERN.test(text);
}

export function escapeKey(key: string): string {
  let escaped = "";
  for (const byte of utf8.encode(key)) {
    const plain = byte !== TILDE && ((BYTE_CLASS[byte] ?? 0) & KEY) !== 0;
    escaped += plain
      ? String.fromCharCode(byte)
      : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

export function formatAddress(address: Address): string {
  return `${address.namespace}/${address.agent}/${escapeKey(address.key)}`;
}

/**
 * Parses `namespace/agent/key`; a missing key means `default`. The key may come escaped or, as people
 * type it, plain: it is plain when it holds a byte that the escaped form never has.
 * Throws INVALID_ADDRESS.
 */
export function parseAddress(text: string): Address {
  const [namespace = "", agent = "", ...rest] = text.split("/");
  const given = rest.length === 0 ? DEFAULT_KEY : rest.join("/");
  if (!isName(namespace)) throw bad(text, `the namespace "${namespace}" is not valid`);
  if (!isName(agent)) throw bad(text, `the agent name "${agent}" is not valid`);
  const key = /^[A-Za-z0-9_~-]*$/.test(given) ? unescapeKey(given, text) : given;
  if (key.length === 0) throw bad(text, "the key is empty");
  const bytes = utf8.encode(key).length;
  if (bytes > KEY_BYTES_MAX) {
    throw bad(text, `the key has ${String(bytes)} bytes, the maximum is ${String(KEY_BYTES_MAX)}`);
  }
  return { namespace, agent, key };
}

function unescapeKey(escaped: string, text: string): string {
  if (!escaped.includes("~")) return escaped;
  const bytes: number[] = [];
  for (let i = 0; i < escaped.length; i++) {
    if (escaped[i] !== "~") {
      bytes.push(escaped.charCodeAt(i));
      continue;
    }
    const hex = escaped.slice(i + 1, i + 3);
    if (!/^[0-9A-F]{2}$/.test(hex)) {
      throw bad(text, `"~" in a key is followed by two upper-case hex digits, found "${hex}"`);
    }
    bytes.push(parseInt(hex, 16));
    i += 2;
  }
  try {
    return utf8Strict.decode(Uint8Array.from(bytes));
  } catch {
    throw bad(text, "the escaped key is not UTF-8");
  }
}

function bad(text: string, why: string): CaxtonError {
  const shown = text.length > 120 ? `${text.slice(0, 120)}...` : text;
  return new CaxtonError("INVALID_ADDRESS", `"${shown}" is not an address: ${why}.`);
}

/**
 * FNV-1a (32 bit) over the address without its slashes, as a server-side NATS `partition(P,1,2,3)`
 * computes it. Returns -1 when the bytes are no well-formed escaped address.
 */
export function hashAddress(bytes: Uint8Array, offset: number, length: number): number {
  if (length > ADDRESS_BYTES_MAX) return -1;
  let hash = FNV_OFFSET;
  let slashes = 0;
  let part = 0;
  let isEscaped = false;
  for (let i = offset; i < offset + length; i++) {
    const byte = bytes[i]!;
    if (byte === SLASH) {
      if (part === 0 || part > 63) return -1;
      slashes++;
      part = 0;
      if (slashes > 2) return -1;
      continue;
    }
    if ((BYTE_CLASS[byte]! & (slashes < 2 ? NAME : KEY)) === 0) return -1;
    if (byte === TILDE) isEscaped = true;
    hash = Math.imul(hash ^ byte, FNV_PRIME);
    part++;
  }
  if (slashes < 2 || part === 0) return -1;
  if (isEscaped ? !isWellEscaped(bytes, offset, length) : part > KEY_BYTES_MAX) return -1;
  return hash >>> 0;
}

/** Otherwise two addresses would be those of one key. */
function isWellEscaped(bytes: Uint8Array, offset: number, length: number): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).toString("latin1");
  try {
    return formatAddress(parseAddress(text)) === text;
  } catch {
    return false;
  }
}

/** One byte more than fits is too long. */
const scratch = new Uint8Array(ADDRESS_BYTES_MAX + 1);

export function hashAddressText(address: string): number {
  const { read, written } = utf8.encodeInto(address, scratch);
  return read < address.length ? -1 : hashAddress(scratch, 0, written);
}

export function slotOf(hash: number): number {
  return hash % SLOTS;
}

/** `partitions` is a power of two, so slot mod P is a mask. */
export function partitionOf(hash: number, partitions: number): number {
  return hash & (SLOTS - 1) & (partitions - 1);
}
