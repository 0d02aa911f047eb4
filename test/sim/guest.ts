/** The host calls of the turn that runs, for scripts: the real ones, on a small memory of its own. */
import { DRAFT_HEADER_BYTES } from "../../src/actors/wasm/envelope.ts";
import { caxtonImports } from "../../src/actors/wasm/host-calls.ts";
import type { TurnContext } from "../../src/actors/wasm/turn-context.ts";
import type { PendingMessage } from "../../src/actors/partition/message.ts";
import { tokenOf } from "./plan.ts";
import type { Plan } from "./plan.ts";

const MEMORY_BYTES = 65_536;
const VALUE_AT = 32_768;
/** Places of one turn's sends; the next turn's begin after them. */
const PLACES_PER_TURN = 1000;

interface HostCalls {
  send(ptr: number, len: number): void;
  ask(ptr: number, len: number, timeoutMs: number): bigint;
  reply(ptr: number, len: number): void;
  fail(ptr: number, len: number): never;
  state_get(key: number, keyLen: number, buf: number, bufLen: number): number;
  state_put(key: number, keyLen: number, value: number, valueLen: number): void;
  state_delete(key: number, keyLen: number): void;
  emit(topic: number, topicLen: number, ptr: number, len: number): void;
  timer_set(id: bigint, delayMs: number, ptr: number, len: number): void;
  timer_cancel(id: bigint): void;
  log(level: number, ptr: number, len: number): void;
  now(): number;
  random(): number;
}

export class Guest {
  private readonly turn: TurnContext;
  private readonly host: HostCalls;
  private readonly bytes = Buffer.alloc(MEMORY_BYTES);
  /** Differs from run to run: what an agent must not have. */
  readonly entropy: () => number;
  private place = 0;

  constructor(turn: TurnContext, entropy: () => number) {
    this.turn = turn;
    this.entropy = entropy;
    this.host = caxtonImports(turn);
    turn.memory = { bytes: this.bytes, refresh: () => undefined };
  }

  get message(): PendingMessage {
    return this.turn.message;
  }

  get address(): string {
    return this.turn.actor.address;
  }

  get isReplay(): boolean {
    return this.turn.replayState !== undefined;
  }

  /** Whether the turn continues an open handler. */
  get continues(): boolean {
    return this.turn.handler !== undefined;
  }

  get hasReplied(): boolean {
    return this.turn.replied;
  }

  /** Turns of the actor's life, whatever became of its memory. */
  get count(): number {
    return Number(this.get("count") ?? "0");
  }

  /** Never the same twice in an actor's life. */
  newId(): number {
    return this.place++;
  }

  private write(at: number, text: string): number {
    return this.bytes.write(text, at);
  }

  private draft(receiver: string, plan: Plan): number {
    const { bytes } = this;
    const content = JSON.stringify(plan);
    bytes.fill(0, 0, DRAFT_HEADER_BYTES);
    bytes.writeUInt16LE(receiver.length, 4);
    bytes.writeUInt32LE(Buffer.byteLength(content), 12);
    this.write(DRAFT_HEADER_BYTES, receiver);
    const end = DRAFT_HEADER_BYTES + receiver.length;
    return end + this.write(end, content);
  }

  /** Ids of ephemeral actors' sends may come again after a crash; the token does not. */
  private named(plan: Plan): Plan {
    return this.turn.actor.agent.isEphemeral ? { ...plan, token: `e${this.entropy()}` } : plan;
  }

  private placed(plan: Plan): Plan {
    return this.named({ ...plan, place: this.place++ });
  }

  startPlaces(count: number): void {
    this.place = count * PLACES_PER_TURN;
  }

  send(to: string, plan: Plan): void {
    this.host.send(0, this.draft(to, this.placed(plan)));
  }

  ask(to: string, ms: number, plan: Plan): bigint {
    return this.host.ask(0, this.draft(to, this.placed(plan)), ms);
  }

  reply(bytes: number): void {
    this.host.reply(0, this.draft("", this.named({ ops: [], padding: "x".repeat(bytes) })));
  }

  get(key: string): string | undefined {
    const length = this.host.state_get(0, this.write(0, key), VALUE_AT, VALUE_AT);
    return length < 0 ? undefined : this.bytes.toString("utf8", VALUE_AT, VALUE_AT + length);
  }

  put(key: string, value: string): void {
    this.host.state_put(0, this.write(0, key), VALUE_AT, this.write(VALUE_AT, value));
  }

  delete(key: string): void {
    this.host.state_delete(0, this.write(0, key));
  }

  emit(topic: string, text: string): void {
    this.host.emit(0, this.write(0, topic), VALUE_AT, this.write(VALUE_AT, text));
  }

  setTimer(id: number, ms: number, plan: Plan): void {
    const { bytes, offset } = this.message;
    const token = `${tokenOf(bytes, offset)}+${this.place++}`;
    this.host.timer_set(BigInt(id), ms, 0, this.write(0, JSON.stringify({ ...plan, token })));
  }

  cancelTimer(id: number): void {
    this.host.timer_cancel(BigInt(id));
  }

  log(text: string): void {
    this.host.log(1, 0, this.write(0, text));
  }

  fail(text: string): never {
    this.host.fail(0, this.write(0, text));
  }

  nowMs(): number {
    return this.host.now();
  }

  random(): number {
    return this.host.random();
  }
}
