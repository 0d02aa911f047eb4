/** A set of agents (`namespace/name`) that is asked by the bytes of actors' addresses. */
const SLASH = 0x2f;

export class AgentSet {
  private readonly names: readonly Buffer[];

  constructor(names: readonly string[]) {
    this.names = names.map((name) => Buffer.from(name, "latin1"));
  }

  /** Whether the address in [from, to) is one of an actor of these agents. */
  has(bytes: Buffer, from: number, to: number): boolean {
    for (const name of this.names) {
      const end = from + name.length;
      if (end < to && bytes[end] === SLASH && startsWith(bytes, from, name)) return true;
    }
    return false;
  }
}

function startsWith(bytes: Buffer, from: number, name: Buffer): boolean {
  // From the end: names of one namespace differ there.
  for (let i = name.length - 1; i >= 0; i--) if (bytes[from + i] !== name[i]) return false;
  return true;
}
