/** What a control entry does to the state, live and in recovery alike. */
import { startOf } from "../environment.ts";
import type { Environment } from "../environment.ts";
import { IDLE, rootOf } from "./actor.ts";
import type { Actor, RootMessage } from "./actor.ts";
import { AgentShare } from "./agent-share.ts";
import type { Control } from "./control.ts";
import type { PendingMessage } from "./message.ts";
import type { Delivery, PartitionState } from "./partition-state.ts";

/** What live processing does next; recovery finds the consequences in the log. */
export interface ControlFollowUp {
  /** Their live memory is void. */
  readonly dropped: Actor[];
  readonly wake: Actor[];
  /** They go over to another version when their handlers are done or their time is up. */
  readonly draining: Actor[];
  readonly deliveries: Delivery[];
  /** Askers to tell that no reply will come. */
  readonly failures: { sender: string; root: RootMessage; code: string; reason: string }[];
}

export function applyControl(
  state: PartitionState,
  control: Control,
  environment: (id: number) => Environment,
): ControlFollowUp {
  const follow: ControlFollowUp = {
    dropped: [],
    wake: [],
    draining: [],
    deliveries: [],
    failures: [],
  };
  switch (control.kind) {
    case "deploy":
      deploy(state, control.agent, environment(control.environment), control.resetMemory, follow);
      break;
    case "remove":
      remove(state, control.agent, follow);
      break;
    case "suspend": {
      const share = state.agents.get(control.agent);
      if (share !== undefined) share.suspended = control.reason;
      break;
    }
    case "resume": {
      const share = state.agents.get(control.agent);
      if (share === undefined) break;
      share.suspended = undefined;
      for (const actor of share.actors) actor.restartTimesMs = [];
      follow.wake.push(...share.actors);
      break;
    }
    case "hold":
    case "release":
    case "reset":
      changeActor(state, control, follow);
      break;
    case "dead-letter-retry": {
      const record = state.deadLetters.remove(control.seq);
      if (record === undefined) break;
      const { envelope, logPosition } = record;
      follow.deliveries.push(state.deliver(envelope, 0, envelope.length, logPosition));
      break;
    }
    case "dead-letter-drop":
      state.deadLetters.remove(control.seq);
      break;
    case "stream-begin":
      state.stream.begin(control.incarnation, control.last);
      break;
    case "stream-wait":
      state.stream.wait(control.n, control.storedS ?? 0);
      break;
    case "stream-done":
      state.stream.done(control.n, control.storedS ?? 0);
      break;
  }
  return follow;
}

function deploy(
  state: PartitionState,
  name: string,
  environment: Environment,
  resetMemory: boolean,
  follow: ControlFollowUp,
): void {
  const share = state.agents.get(name);
  if (share === undefined) {
    state.agents.set(name, new AgentShare(name, environment));
    return;
  }
  share.environment = environment;
  share.drainUntilMs = state.lastNowMs + environment.manifest.upgrade.drainMs;
  for (const actor of share.actors) {
    if (startOf(actor.environment) === startOf(environment)) {
      actor.environment = environment;
      if (!resetMemory) continue;
    }
    if (resetMemory || share.isEphemeral || !actor.hasMemory) {
      resetActor(state, actor, "the agent was deployed anew without its memory", follow);
    } else if (actor.handlers.size > 0) {
      follow.draining.push(actor);
    }
  }
}

function resetActor(
  state: PartitionState,
  actor: Actor,
  reason: string,
  follow: ControlFollowUp,
): void {
  for (const root of state.resetMemory(actor)) {
    state.completeClient(root, { kind: "failure", code: "AGENT_FAILED", reason });
    follow.failures.push({ sender: actor.address, root, code: "AGENT_FAILED", reason });
  }
  follow.dropped.push(actor);
  follow.wake.push(actor);
}

function remove(state: PartitionState, name: string, follow: ControlFollowUp): void {
  const share = state.agents.get(name);
  if (share === undefined) return;
  const code = "AGENT_NOT_FOUND";
  const reason = "the agent was deleted";
  const letters: { readonly sender: string; readonly message: PendingMessage }[] = [];
  for (const actor of share.actors) {
    const sender = actor.address;
    const handlers = [...actor.handlers.values()];
    letters.push(...state.removeActor(actor).map((message) => ({ sender, message })));
    for (const { root, replied } of handlers) {
      if (replied) continue;
      state.completeClient(root, { kind: "failure", code, reason });
      follow.failures.push({ sender, root, code, reason });
    }
    follow.dropped.push(actor);
  }
  // A checkpoint may bring actors back in another order, and the oldest letters give way when there are too many.
  letters.sort((a, b) => a.message.seq - b.message.seq);
  for (const { sender, message } of letters) {
    state.deadLetter(message, message.attempts, state.lastNowMs, code, reason);
    follow.failures.push({ sender, root: rootOf(message), code, reason });
  }
  state.agents.delete(name);
}

function changeActor(
  state: PartitionState,
  control: Extract<Control, { actor: string }>,
  follow: ControlFollowUp,
): void {
  const actor = state.actorByAddress(control.actor);
  if (actor === undefined) return;
  switch (control.kind) {
    case "hold":
      actor.phase = { kind: "held", code: control.code, reason: control.reason };
      follow.dropped.push(actor);
      return;
    case "release":
      if (actor.phase.kind === "held") actor.phase = IDLE;
      actor.restartTimesMs = [];
      follow.wake.push(actor);
      return;
    case "reset":
      resetActor(state, actor, "the actor was reset", follow);
      return;
  }
}
