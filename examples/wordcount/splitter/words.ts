const KEY_BYTES_MAX = 256;

/** Words are runs of a to z. */
export function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of text.match(/[a-z]+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** A word that is no key of an address. */
export function isLong(word: string): boolean {
  return word.length > KEY_BYTES_MAX;
}

/** The address of the actor that counts a word: its key is the word, or of a long one its length and a hash. */
export function counterAddress(word: string): string {
  if (!isLong(word)) return `default/counter/${word}`;
  return `default/counter/long-${word.length}-${hash(word, 0x811c9dc5)}${hash(word, 0x01234567)}`;
}

/** FNV-1a. */
function hash(word: string, seed: number): string {
  let bits = seed;
  for (let i = 0; i < word.length; i++) bits = Math.imul(bits ^ word.charCodeAt(i), 0x01000193);
  return (bits >>> 0).toString(16).padStart(8, "0");
}
