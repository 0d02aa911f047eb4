/** A partition's state in one canonical form, for comparing what lives with what its log says. */
import type { Actor } from "../../src/actors/partition/actor.ts";
import type { ClientEntry } from "../../src/actors/partition/client-ids.ts";
import type { PendingMessage } from "../../src/actors/partition/message.ts";
import type { PartitionState } from "../../src/actors/partition/partition-state.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/**
 * Left out: what is only a reading of the clock (times of restarts and of dead letters), and what the log
 * says late (sends that were acknowledged, client ids that ran out).
 */
function dumpState(state: PartitionState): Record<string, unknown> {
  const durable = [...state.actors].filter((actor) => !actor.agent.isEphemeral);
  const isDurable = ({ actor }: { actor: Actor }): boolean => !actor.agent.isEphemeral;
  const agents = [...state.agents.values()].filter((agent) => !agent.isEphemeral);
  return {
    actors: sorted(durable.map((actor) => dumpActor(actor, state))),
    agents: sorted(
      agents.map((a) => [a.name, a.environment.id, a.suspended, a.pendingBytes, a.messagesHandled]),
    ),
    asks: sorted(
      [...state.asks.values()]
        .filter(isDurable)
        .map(({ number, actor, rootSeq, deadlineMs }) => [
          number,
          actor.address,
          rootSeq,
          deadlineMs,
        ]),
    ),
    timers: sorted(
      durable
        .flatMap(({ timers }) => [...timers.values()])
        .map(({ id, actor, rootSeq, dueMs, payload }) => [
          actor.address,
          String(id),
          rootSeq,
          dueMs,
          hex(payload),
        ]),
    ),
    deadLetters: [...state.deadLetters.values()].map((letter) => [
      letter.code,
      letter.reason,
      letter.attempts,
      letter.logPosition,
      hex(letter.envelope),
    ]),
    evicted: state.deadLetters.evicted,
    cursors: sorted([...state.cursors]),
    stream: [state.stream.incarnation, state.stream.upTo, ...state.stream.waiting],
    outboxes: sorted(
      [...state.outboxes]
        .map(([destination, outbox]) => [destination, outbox.firstN + outbox.length])
        .filter(([, next]) => next !== 1),
    ),
    undelivered: sorted([...state.undelivered()].map(({ code }) => [code])),
  };
}

function dumpActor(actor: Actor, state: PartitionState): unknown[] {
  const { phase } = actor;
  const isHeld = phase.kind === "held";
  return [
    actor.address,
    isHeld ? [phase.code, phase.reason] : "may run",
    sorted([...actor.handlers].map(([seq, { replied, root }]) => [seq, replied, root.flags])),
    [...actor.inbox].map(dumpMessage),
    [...actor.answers].map(dumpMessage),
    actor.turnsTotal,
    sorted([...actor.state].map(([key, value]) => [key, hex(value)])),
    actor.stateBytes,
    actor.timers.size,
    actor.asks,
    actor.restartsTotal,
    state.actors.find(actor.hash, actor.addressBytes, 0, actor.addressBytes.length) === actor,
  ];
}

function dumpMessage(message: PendingMessage): unknown[] {
  const { seq, flags, logPosition, rootSeq, attempts, intents, bytes, offset, length } = message;
  const body = hex(bytes.subarray(offset, offset + length));
  return [seq, flags, logPosition, rootSeq, attempts, intents, body];
}

function sorted(rows: unknown[][]): unknown[][] {
  return rows.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Turns that no image has must be the newest of those that the log has. */
function turnsDiffer(live: PartitionState, logged: PartitionState): string | undefined {
  for (const actor of live.actors) {
    if (actor.agent.isEphemeral) continue;
    const indexed = turnsOf(actor);
    const all = turnsOf(logged.actorByAddress(actor.address)!);
    const expected = actor.image === undefined ? all : all.slice(all.length - indexed.length);
    if (indexed.join() !== expected.join()) {
      return `${actor.address}: turns ${indexed.join()} are indexed, the log has ${expected.join()}`;
    }
    const base = (of: Actor): string =>
      JSON.stringify([...(of.baseState ?? [])].map(([k, v]) => [k, hex(v)]));
    const other = logged.actorByAddress(actor.address)!;
    if (base(actor) !== base(other)) return `${actor.address}: base state differs`;
  }
  return undefined;
}

function turnsOf({ turns }: Actor): string[] {
  return Array.from(turns.numbers(), (number) => {
    const { turn, message } = turns.turn(number);
    return `${turn}/${message}`;
  });
}

/** Says where two dumps part. */
export function difference(live: PartitionState, logged: PartitionState): string | undefined {
  const turns = turnsDiffer(live, logged);
  if (turns !== undefined) return turns;
  const [a, b] = [dumpState(live), dumpState(logged)];
  for (const part of Object.keys(a)) {
    const [of_live, of_log] = [JSON.stringify(a[part]), JSON.stringify(b[part])];
    if (of_live === of_log) continue;
    let at = 0;
    while (of_live[at] === of_log[at]) at++;
    const from = Math.max(0, at - 120);
    return `${part} differ:\n  live ...${of_live.slice(from, at + 160)}\n  log  ...${of_log.slice(from, at + 160)}`;
  }
  for (const { id, acceptedAtMs } of clientIds(live)) {
    const mayBeForgotten = acceptedAtMs + live.limits.dedupWindowMs <= logged.lastNowMs;
    if (logged.clients.get(id) === undefined && !mayBeForgotten) {
      return `client id ${id} is not in the log`;
    }
  }
  return undefined;
}

function clientIds(state: PartitionState): ClientEntry[] {
  return [...(state.clients as unknown as { entries: Map<string, ClientEntry> }).entries.values()];
}
