/**
 * Messages of outside clients: dedup by id, refusal before acceptance, and the answer once it is durable.
 *
 * Owns the requests that wait for a reply. They are of this process only: a client that comes back after a
 * crash asks again with the same id.
 */
import {
  ACCEPTED_OVERHEAD_BYTES,
  ACCEPTED_REMEMBERED,
  SOURCE_CLIENT,
} from "../../storage/frame-codec.ts";
import type { ErrorCode } from "../../base/errors.ts";
import { isEphemeral, receiverOf, type Refusal, refusalOf } from "./admission.ts";
import type { ClientOutcome } from "./client-ids.ts";
import type { PartitionProcessor } from "./processor.ts";

export interface ClientSubmission {
  readonly requestId: number;
  readonly id: string;
  /** The client chose the id: a repeat gets the first result. */
  readonly chosenId: boolean;
  readonly wantsReply: boolean;
  readonly envelope: Buffer;
}

export type ClientResult =
  | {
      readonly kind: "accepted";
      readonly requestId: number;
      readonly duplicate: boolean;
      readonly frame: number;
    }
  | {
      readonly kind: "refused";
      readonly requestId: number;
      readonly code: ErrorCode;
      readonly reason: string;
    }
  | {
      readonly kind: "reply";
      readonly requestId: number;
      readonly duplicate: boolean;
      readonly envelope: Buffer;
    }
  | {
      readonly kind: "failure";
      readonly requestId: number;
      readonly duplicate: boolean;
      readonly code: string;
      readonly reason: string;
    };

interface Waiter {
  readonly requestId: number;
  readonly duplicate: boolean;
}

export class ClientDoor {
  private readonly processor: PartitionProcessor;
  private readonly answer: (result: ClientResult) => void;
  private readonly waiters = new Map<string, Waiter[]>();
  /** Ids accepted but waiting for room in a frame: no second copy may get in meanwhile. */
  private readonly entering = new Map<string, ClientSubmission[]>();
  private enteringCount = 0;
  /** Receivers that refused a message which had waited: what waited behind it must not pass it. */
  private readonly turnedAway = new Map<string, Refusal>();
  /** Asks of ephemeral agents: nothing is remembered, only answered. */
  private readonly unlogged = new Set<string>();

  constructor(processor: PartitionProcessor, answer: (result: ClientResult) => void) {
    this.processor = processor;
    this.answer = answer;
    processor.state.completed = (id, outcome) => {
      this.completed(id, outcome);
    };
  }

  offer(submission: ClientSubmission): void {
    const { id, chosenId, wantsReply } = submission;
    if (chosenId || wantsReply) {
      const entering = this.entering.get(id);
      if (entering !== undefined) {
        entering.push(submission);
        return;
      }
      if (this.processor.state.clients.get(id) !== undefined) {
        this.repeat(submission);
        return;
      }
    }
    const refusal = refusalOf(this.processor, submission.envelope, chosenId || wantsReply);
    if (refusal !== undefined) {
      this.answer({ kind: "refused", requestId: submission.requestId, ...refusal });
      return;
    }
    if (isEphemeral(this.processor, submission.envelope)) this.enterUnlogged(submission);
    else this.enter(submission);
  }

  private enter(submission: ClientSubmission): void {
    const { id, chosenId, wantsReply, envelope, requestId } = submission;
    const { frames } = this.processor;
    const bytes = ACCEPTED_OVERHEAD_BYTES + envelope.length;
    if (frames.hasRoom(bytes)) {
      this.admit(submission);
      return;
    }
    if (chosenId || wantsReply) this.entering.set(id, []);
    this.enteringCount++;
    frames.whenRoom(bytes, () => {
      const repeats = this.entering.get(id) ?? [];
      this.entering.delete(id);
      // Others may have taken its place while it waited.
      const refusal = this.refusalAfterAll(submission);
      if (refusal === undefined) this.admit(submission);
      else this.answer({ kind: "refused", requestId, ...refusal });
      if (--this.enteringCount === 0) this.turnedAway.clear();
      for (const repeat of repeats) this.offer(repeat);
    });
  }

  private refusalAfterAll({ envelope, chosenId, wantsReply }: ClientSubmission) {
    const receiver = receiverOf(envelope);
    const before = this.turnedAway.get(receiver);
    const refusal = before ?? refusalOf(this.processor, envelope, chosenId || wantsReply);
    if (refusal !== undefined) this.turnedAway.set(receiver, refusal);
    return refusal;
  }

  private admit(submission: ClientSubmission): void {
    const { id, chosenId, wantsReply, envelope } = submission;
    const { processor } = this;
    const frame = processor.frames.frameNo;
    const remember = chosenId || wantsReply;
    // Before delivery: the message may turn out undeliverable and complete its id at once.
    if (remember) {
      processor.state.rememberClient(id, processor.nowMs(), frame, wantsReply);
      this.await(submission, false);
    }
    const kind = remember ? SOURCE_CLIENT | ACCEPTED_REMEMBERED : SOURCE_CLIENT;
    processor.mail.accept(kind, 0, 0, envelope, 0, envelope.length);
    if (!wantsReply) this.acceptedAfterCommit(submission, false, frame);
  }

  private enterUnlogged(submission: ClientSubmission): void {
    const { id, requestId, wantsReply, envelope } = submission;
    if (wantsReply) {
      this.unlogged.add(id);
      this.await(submission, false);
    }
    this.processor.mail.acceptUnlogged(envelope, 0, envelope.length);
    if (!wantsReply) this.answer({ kind: "accepted", requestId, duplicate: false, frame: 0 });
  }

  /** The id is known: the first result, now or when there is one. */
  private repeat(submission: ClientSubmission): void {
    const entry = this.processor.state.clients.get(submission.id);
    if (entry === undefined) return;
    if (!submission.wantsReply || !entry.wantsReply) {
      this.acceptedAfterCommit(submission, true, entry.frame);
      return;
    }
    const { outcome } = entry;
    if (outcome === undefined) {
      this.await(submission, true);
      return;
    }
    this.processor.frames.afterCommit(() => {
      this.answer(resultOf({ requestId: submission.requestId, duplicate: true }, outcome));
    });
  }

  private await(submission: ClientSubmission, duplicate: boolean): void {
    if (!submission.wantsReply) return;
    const waiter: Waiter = { requestId: submission.requestId, duplicate };
    const waiters = this.waiters.get(submission.id);
    if (waiters === undefined) this.waiters.set(submission.id, [waiter]);
    else waiters.push(waiter);
  }

  /** The caller no longer waits. */
  forget(id: string, requestId: number): void {
    const left = (this.waiters.get(id) ?? []).filter((waiter) => waiter.requestId !== requestId);
    if (left.length > 0) this.waiters.set(id, left);
    else {
      this.waiters.delete(id);
      this.unlogged.delete(id);
    }
  }

  private acceptedAfterCommit(
    submission: ClientSubmission,
    duplicate: boolean,
    frame: number,
  ): void {
    const { requestId } = submission;
    this.processor.frames.afterCommit(() => {
      this.answer({ kind: "accepted", requestId, duplicate, frame });
    });
  }

  private completed(id: string, outcome: ClientOutcome): void {
    const waiters = this.waiters.get(id);
    if (waiters === undefined) return;
    this.waiters.delete(id);
    const answerAll = (): void => {
      for (const waiter of waiters) this.answer(resultOf(waiter, outcome));
    };
    if (this.unlogged.delete(id)) answerAll();
    else this.processor.frames.afterCommit(answerAll);
  }
}

function resultOf(waiter: Waiter, outcome: ClientOutcome): ClientResult {
  return { ...waiter, ...outcome };
}
