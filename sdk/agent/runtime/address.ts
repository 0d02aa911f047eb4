import { host } from "./host.ts";

export function address(namespace: string, agent: string, key: string): string {
  let escaped = "";
  for (const byte of host.encode(key)) {
    const char = String.fromCharCode(byte);
    escaped += /[A-Za-z0-9_-]/.test(char)
      ? char
      : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return `${namespace}/${agent}/${escaped}`;
}

export function unescapeKey(escaped: string): string {
  const bytes: number[] = [];
  for (let i = 0; i < escaped.length; i++) {
    if (escaped[i] !== "~") {
      bytes.push(escaped.charCodeAt(i));
      continue;
    }
    bytes.push(Number.parseInt(escaped.slice(i + 1, i + 3), 16));
    i += 2;
  }
  return host.decode(Uint8Array.from(bytes));
}
