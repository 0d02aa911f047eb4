/** Throws when a condition the code relies on does not hold. Stays on in production. */
export function invariant(condition: unknown, text: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${text}`);
}
