/** Whether a partition has nothing left to do, and what keeps it. */
import type { PartitionProcessor } from "../../src/actors/partition/processor.ts";

export function isIdle({ state, frames }: PartitionProcessor): boolean {
  return (
    state.pending === 0 &&
    state.asks.size === 0 &&
    !frames.hasDeferred &&
    frames.stateFrameNo === frames.committedFrameNo &&
    [...state.outboxes.values()].every((outbox) => outbox.length === 0) &&
    [...state.actors].every(({ handlers, timers }) => handlers.size === 0 && timers.size === 0)
  );
}

export function describe({ id, state, frames }: PartitionProcessor): string {
  const actors = [...state.actors]
    .filter(
      (actor) => actor.pendingMessages > 0 || actor.timers.size > 0 || actor.handlers.size > 0,
    )
    .map(
      (a) =>
        `  ${a.address} ${a.phase.kind} inbox ${a.inbox.length} answers ${a.answers.length} handlers ${a.handlers.size} asks ${a.asks} timers ${a.timers.size} ${a.agent.suspended ?? ""}`,
    );
  const outboxes = [...state.outboxes].map(([to, { length }]) => `${to}: ${length}`).join(", ");
  return [
    `partition ${id}: pending ${state.pending} asks ${state.asks.size} deferred ${frames.hasDeferred} frame ${frames.stateFrameNo} committed ${frames.committedFrameNo} outboxes {${outboxes}}`,
    ...actors,
  ].join("\n");
}
