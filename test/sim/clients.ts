/**
 * Outside clients: they send and ask, give up, come again with the same id, and remember what they were told.
 *
 * 1. A repeat within the window gets the first result.
 * 2. Everything is answered in the end.
 */
import { hashAddressText, partitionOf } from "../../src/actors/address.ts";
import { FLAG_CLIENT, FLAG_WANTS_REPLY, encodeEnvelope } from "../../src/actors/wasm/envelope.ts";
import type { SeededRandom } from "../../src/base/random.ts";
import { EPHEMERAL } from "./agents.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./failure.ts";
import { tokenOf } from "./plan.ts";
import type { ClientAnswer, SimNode } from "./sim-node.ts";
import { pick } from "./swarm.ts";
import type { Swarm } from "./swarm.ts";
import type { Timeline } from "./timeline.ts";
import type { LostTail } from "./history.ts";
import { Workload } from "./workload.ts";

const CLIENTS = 3;
const RETRY_MS = 40;
const RETRY_MS_MAX = 1500;
/** Whatever storage does: it is away for long after 5 s, and each try of a frame may take that long. */
const SEND_MS_MAX = 15_000;
const FINAL_REFUSALS = new Set(["AGENT_NOT_FOUND", "MESSAGE_TOO_LARGE"]);

/** Every other request belongs to a trace: what its turns send carries it on, in replay as well. */
const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

interface Request {
  readonly id: string;
  readonly partition: number;
  readonly receiver: string;
  readonly envelope: Buffer;
  readonly chosenId: boolean;
  readonly asks: boolean;
  readonly remembered: boolean;
  firstSentMs: number;
  tries: number;
  repeatsLeft: number;
  /** What it was told first. */
  outcome: string | undefined;
}

export interface ClientPorts {
  readonly swarm: Swarm;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly coverage: Coverage;
  node(): SimNode | undefined;
  wallMs(): number;
}

export class Clients {
  private readonly ports: ClientPorts;
  private readonly workload: Workload;
  private readonly requests = new Map<string, Request>();
  private readonly places = new Map<string, number>();
  readonly poison = new Set<string>();
  /** Acked sends, by id. */
  readonly acked = new Set<string>();
  active = 0;

  constructor(ports: ClientPorts) {
    this.ports = ports;
    this.workload = new Workload(ports.swarm, ports.random);
  }

  start(): void {
    const { swarm, timeline, random } = this.ports;
    for (let i = 0; i < swarm.requests; i++) {
      this.active++;
      timeline.after(random.nextFloat() * swarm.loadMs, () => {
        this.attempt(this.draw(i));
      });
    }
  }

  /** What clients were told of the tail is void: they may be told otherwise. */
  tailLost({ accepted, replies }: LostTail): void {
    for (const [id, request] of this.requests) {
      const { outcome } = request;
      if (outcome === undefined) continue;
      if (accepted.has(id)) this.ports.coverage.hit("acknowledged message lost with the tail");
      else this.ports.coverage.hit("acknowledged message kept though a tail was lost");
      if (accepted.has(id)) this.acked.delete(id);
      const isVoid = accepted.has(id) || replies.has(outcome.replace(/^reply /, ""));
      if (isVoid || outcome.startsWith("failure")) request.outcome = undefined;
    }
  }

  isOutOfOrder(token: string): boolean {
    return (this.requests.get(token)?.tries ?? 0) > 1;
  }

  firstSentMs(token: string): number {
    return this.requests.get(token)?.firstSentMs ?? 0;
  }

  isUnlogged(token: string): boolean {
    return this.requests.get(token)?.receiver.startsWith(EPHEMERAL) ?? false;
  }

  private draw(i: number): Request {
    const { random, swarm } = this.ports;
    const receiver = this.workload.receiver();
    const { plan, poison } = this.workload.plan(receiver);
    const id = `c${swarm.seed}-${i}`;
    if (poison) this.poison.add(id);
    const asks = random.chance(0.4);
    const chosenId = random.chance(0.6);
    const sender = `client-${random.below(CLIENTS)}`;
    const place = (this.places.get(`${sender} ${receiver}`) ?? 0) + 1;
    this.places.set(`${sender} ${receiver}`, place);
    const envelope = encodeEnvelope({
      flags: FLAG_CLIENT | (asks ? FLAG_WANTS_REPLY : 0),
      id,
      sender,
      receiver,
      content: Buffer.from(JSON.stringify({ ...plan, place })),
      ...(i % 2 === 0 ? {} : { headers: { traceparent: TRACEPARENT } }),
    });
    const request: Request = {
      id,
      partition: partitionOf(hashAddressText(receiver), swarm.partitions),
      receiver,
      envelope,
      chosenId,
      asks,
      remembered: (chosenId || asks) && !receiver.startsWith(EPHEMERAL),
      firstSentMs: this.ports.wallMs(),
      tries: 0,
      repeatsLeft: chosenId ? random.below(3) : 0,
      outcome: undefined,
    };
    this.requests.set(id, request);
    return request;
  }

  private retry(request: Request): void {
    this.again(request, Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(request.tries, 10)));
  }

  private again(request: Request, delayMs: number): void {
    this.ports.timeline.after(delayMs, () => {
      this.attempt(request);
    });
  }

  private attempt(request: Request): void {
    const { coverage, random, timeline } = this.ports;
    const node = this.ports.node();
    const { partition, id, chosenId, asks } = request;
    if (!node?.isReady(partition)) {
      request.tries++;
      this.retry(request);
      return;
    }
    request.tries++;
    const sentAtMs = timeline.nowMs;
    let isOver = false;
    const submission = { partition, id, chosenId, wantsReply: asks };
    const requestId = node.submit(submission, request.envelope, (answer, reply) => {
      if (isOver) return;
      isOver = true;
      const waitedMs = timeline.nowMs - sentAtMs;
      promise(asks || waitedMs <= SEND_MS_MAX, () => `${id} was not answered for ${waitedMs} ms`);
      this.answered(request, answer, reply);
    });
    if (!asks) return;
    timeline.after(pick(random, [100, 3000, 20_000]), () => {
      if (isOver) return;
      isOver = true;
      coverage.hit("client gave up waiting");
      if (node.alive) node.forget(partition, id, requestId);
      // Ephemeral agents remember nothing: asking again would be another message.
      if (request.remembered) this.attempt(request);
      else this.finish(request);
    });
  }

  private answered(request: Request, answer: ClientAnswer, reply: Buffer | undefined): void {
    const { coverage } = this.ports;
    switch (answer.kind) {
      case "lost":
        coverage.hit("client request lost");
        if (request.remembered) this.retry(request);
        else this.finish(request);
        return;
      case "refused":
        coverage.hitNamed(`client refused ${answer.code}`);
        // It may have been accepted by then.
        if (answer.code === "STORAGE_UNAVAILABLE" && !request.remembered) {
          this.finish(request);
          return;
        }
        if (FINAL_REFUSALS.has(answer.code)) this.finish(request);
        else this.retry(request);
        return;
      case "accepted":
        coverage.hit("client send accepted");
        this.acked.add(request.id);
        this.told(request, answer.duplicate, `accepted`);
        return;
      case "reply":
        coverage.hit("client ask replied");
        this.told(request, answer.duplicate, `reply ${tokenOf(reply!, 0)}`);
        return;
      case "failure":
        coverage.hit("client ask failed");
        this.told(request, answer.duplicate, `failure ${answer.code} ${answer.reason}`);
    }
  }

  private told(request: Request, duplicate: boolean, outcome: string): void {
    const { swarm, coverage } = this.ports;
    if (duplicate) coverage.hit("client told duplicate");
    const isInWindow =
      request.remembered &&
      !swarm.faults.has("clockJumps") &&
      this.ports.wallMs() - request.firstSentMs < swarm.limits.dedupWindowMs;
    if (isInWindow && request.outcome !== undefined) {
      promise(
        duplicate && outcome === request.outcome,
        () => `${request.id} was told "${request.outcome ?? ""}", then "${outcome}"`,
      );
    }
    request.outcome = outcome;
    this.finish(request);
  }

  private finish(request: Request): void {
    const { random } = this.ports;
    if (request.repeatsLeft-- > 0 && request.outcome !== undefined && request.remembered) {
      this.again(request, random.nextFloat() ** 2 * 4000);
      return;
    }
    this.active--;
  }
}
