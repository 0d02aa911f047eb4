/** Whether a message from outside can be accepted. */
import type { ErrorCode } from "../../base/errors.ts";
import { hashAddress } from "../address.ts";
import { envelopeParts } from "../wasm/envelope.ts";
import type { PartitionProcessor } from "./processor.ts";

export interface Refusal {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** The receiver's address as the envelope has it. */
export function receiverOf(envelope: Buffer): string {
  const parts = envelopeParts(envelope, 0);
  return envelope.toString("latin1", parts.receiver, parts.extensions);
}

function agentOf(envelope: Buffer): string {
  const address = receiverOf(envelope);
  return address.slice(0, address.lastIndexOf("/"));
}

/** Why the message can't be accepted now. `isRemembered`: its id takes a place among the client ids. */
export function refusalOf(
  processor: PartitionProcessor,
  envelope: Buffer,
  isRemembered: boolean,
): Refusal | undefined {
  const { state } = processor;
  const parts = envelopeParts(envelope, 0);
  const length = parts.extensions - parts.receiver;
  const hash = hashAddress(envelope, parts.receiver, length);
  const actor = state.actors.find(hash, envelope, parts.receiver, length);
  const share = actor?.agent ?? state.agents.get(agentOf(envelope));
  if (share === undefined) {
    return { code: "AGENT_NOT_FOUND", reason: `No agent is deployed for ${receiverOf(envelope)}.` };
  }
  const { limits } = share.environment.manifest;
  const bytes = parts.end - parts.content;
  if (bytes > limits.messageBytesMax) {
    const max = String(limits.messageBytesMax);
    return {
      code: "MESSAGE_TOO_LARGE",
      reason: `The content has ${String(bytes)} bytes, limits.messageBytesMax of ${share.name} is ${max}.`,
    };
  }
  if (actor !== undefined && actor.inbox.length >= limits.mailboxMessagesMax) {
    const count = String(actor.inbox.length);
    return {
      code: "MAILBOX_FULL",
      reason: `${receiverOf(envelope)} has ${count} unhandled messages.`,
    };
  }
  if (share.pendingBytes + envelope.length > limits.mailboxBytesMax) {
    const max = String(limits.mailboxBytesMax);
    return { code: "QUOTA_EXHAUSTED", reason: `${share.name} holds ${max} unhandled bytes here.` };
  }
  if (isRemembered && !state.clients.hasRoom(processor.nowMs())) {
    const count = String(state.clients.size);
    return { code: "DEDUP_WINDOW_FULL", reason: `${count} client message ids are remembered.` };
  }
  return undefined;
}

/** Its agent keeps no log. */
export function isEphemeral({ ports }: PartitionProcessor, envelope: Buffer): boolean {
  const parts = envelopeParts(envelope, 0);
  return ports.isEphemeral(envelope, parts.receiver, parts.extensions);
}
