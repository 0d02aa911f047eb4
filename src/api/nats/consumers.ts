/** Consumers that begin where their reader has got to, in order, whatever was on its way before. */
import {
  AckPolicy,
  type ConsumerInfo,
  DeliverPolicy,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { nanos, nuid } from "@nats-io/transport-node";

export interface ConsumerLimits {
  readonly ackWaitMs: number;
  readonly ackPendingMax: number;
}

/** Nobody waits for its messages any more: the process was killed. */
const INACTIVE_MS = 60_000;

/**
 * Of a stream whose reader remembers where it is: a new consumer begins there and knows of no acknowledgements. It
 * has a name of its own: what still goes to an old one of the same name would be lost, and two nodes would take it
 * from each other.
 */
export async function consumerFrom(
  jsm: JetStreamManager,
  stream: string,
  base: string,
  filters: readonly string[],
  start: number,
): Promise<string> {
  const name = `${base}-${nuid.next()}`;
  await jsm.consumers.add(stream, {
    durable_name: name,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: nanos(INACTIVE_MS),
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: start,
    filter_subjects: [...filters],
  });
  return name;
}

/**
 * Of a stream that keeps its messages: the old consumer says where to begin, and goes when the new one is there.
 * They take turns at two names, so that no stop in between forgets the place.
 */
export async function renewReader(
  jsm: JetStreamManager,
  stream: string,
  base: string,
  limits: ConsumerLimits,
): Promise<string> {
  const names = [`${base}-0`, `${base}-1`];
  const found = await Promise.all(names.map((name) => infoIfAny(jsm, stream, name)));
  const places = found.map((info) => info?.ack_floor.stream_seq ?? -1);
  const old = places[1]! > places[0]! ? 1 : 0;
  const name = names[1 - old]!;
  if (found[1 - old] !== undefined) await jsm.consumers.delete(stream, name);
  const begin =
    found[old] === undefined
      ? { deliver_policy: DeliverPolicy.All }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: places[old]! + 1 };
  await jsm.consumers.add(stream, { ...common(name, limits), ...begin });
  if (found[old] !== undefined) await jsm.consumers.delete(stream, names[old]!);
  return name;
}

async function infoIfAny(
  jsm: JetStreamManager,
  stream: string,
  name: string,
): Promise<ConsumerInfo | undefined> {
  for await (const info of jsm.consumers.list(stream)) if (info.name === name) return info;
  return undefined;
}

function common(name: string, { ackWaitMs, ackPendingMax }: ConsumerLimits) {
  return {
    durable_name: name,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWaitMs),
    max_ack_pending: ackPendingMax,
  };
}
