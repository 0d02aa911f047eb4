/** What the actors must hold after all requests are answered, against what they hold. */
import { type Wire, WireError } from "../support/wire.ts";

export interface Balance {
  /** Answered and never handled. */
  readonly lost: number;
  /** Handled more than once. */
  readonly doubled: number;
  /** Handled out of order, or by an actor whose memory was not what its state says. */
  readonly strays: number;
}

/** A client that sent 1, 2, 3 and so on up to `sent`, to an actor that forwards to a sink. */
export interface Sent {
  readonly name: string;
  readonly receiver: string;
  readonly sink: string;
  readonly sent: number;
}

/** One sender's sequence at one actor. */
interface Line {
  readonly address: string;
  readonly sender: string;
  readonly count: number;
}

export async function balanceOf(wire: Wire, streams: readonly Sent[]): Promise<Balance> {
  const balance = { lost: 0, doubled: 0, strays: 0 };
  for (const { address, sender, count } of expectedOf(streams)) {
    const [found = 0, last = 0, sum = 0, strays = 0] = await read(wire, address, sender);
    balance.lost += Math.max(0, count - found);
    balance.doubled += Math.max(0, found - count);
    balance.strays += strays;
    // As many as there should be, but not the same ones.
    const isOther = found === count && (last !== count || sum !== (count * (count + 1)) / 2);
    if (isOther && strays === 0) balance.strays++;
  }
  return balance;
}

/** Each stream at its actor, and each actor's forwarding at its sink. */
function expectedOf(streams: readonly Sent[]): Line[] {
  const lines = streams.map(({ name, receiver, sent }) => {
    return { address: receiver, sender: name, count: sent };
  });
  const forwarded = new Map<string, Line>();
  for (const { receiver, sink, sent } of streams) {
    const sender = receiver.slice(receiver.lastIndexOf("/") + 1);
    const count = (forwarded.get(receiver)?.count ?? 0) + sent;
    forwarded.set(receiver, { address: sink, sender, count });
  }
  return [...lines, ...forwarded.values()];
}

async function read(wire: Wire, address: string, key: string): Promise<number[]> {
  const { state } = wire;
  try {
    const { entry } = await wire.call(state.getState.bind(state), { address, key });
    return Buffer.from(entry!.value).toString().split(" ").map(Number);
  } catch (error) {
    if (error instanceof WireError && error.detail?.code.endsWith("_NOT_FOUND") === true) return [];
    throw error;
  }
}
