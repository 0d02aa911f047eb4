/** Host calls on the actor's key-value state. A turn sees its own writes; they take effect with its frame. */
import { copyOf } from "../../base/bytes.ts";
import { EFFECT_KEYED_HEADER_BYTES, EFFECT_STATE_DELETE, EFFECT_STATE_PUT } from "./effects.ts";
import { trap } from "./turn-context.ts";
import type { TurnContext } from "./turn-context.ts";

export class HostState {
  private readonly turn: TurnContext;

  constructor(turn: TurnContext) {
    this.turn = turn;
  }

  private stateValue(key: string): Buffer | undefined {
    const { turn } = this;
    if (turn.replayState !== undefined) return turn.replayState.get(key);
    const draft = turn.actor.stateDraft?.get(key);
    if (draft !== undefined) return draft ?? undefined;
    return turn.actor.state.get(key);
  }

  get(key: number, keyLen: number): Buffer | undefined {
    this.turn.requireMessage("state_get");
    return this.stateValue(this.turn.key(key, keyLen, "state_get"));
  }

  stateGet(key: number, keyLen: number, buf: number, bufLen: number): number {
    return this.turn.give(this.get(key, keyLen), buf, bufLen, "state_get");
  }

  statePut(key: number, keyLen: number, value: number, valueLen: number): void {
    const { turn } = this;
    turn.requireMessage("state_put");
    const name = turn.key(key, keyLen, "state_put");
    const start = turn.range(value, valueLen, "state_put");
    const length = valueLen >>> 0;
    const bytes = copyOf(turn.memory.bytes, start, length);
    this.draftState(name, bytes);
    const at = turn.reserve(
      EFFECT_STATE_PUT,
      name.length,
      length,
      EFFECT_KEYED_HEADER_BYTES + name.length + length,
    );
    const out = turn.ring.bytes;
    out.write(name, at + EFFECT_KEYED_HEADER_BYTES, "latin1");
    bytes.copy(out, at + EFFECT_KEYED_HEADER_BYTES + name.length);
  }

  stateDelete(key: number, keyLen: number): void {
    const { turn } = this;
    turn.requireMessage("state_delete");
    const name = turn.key(key, keyLen, "state_delete");
    this.draftState(name, null);
    const at = turn.reserve(
      EFFECT_STATE_DELETE,
      name.length,
      0,
      EFFECT_KEYED_HEADER_BYTES + name.length,
    );
    turn.ring.bytes.write(name, at + EFFECT_KEYED_HEADER_BYTES, "latin1");
  }

  private draftState(key: string, value: Buffer | null): void {
    const { turn } = this;
    const { actor, replayState } = this.turn;
    if (replayState !== undefined) {
      if (value === null) replayState.delete(key);
      else replayState.set(key, value);
      return;
    }
    const before = this.stateValue(key);
    const size = (bytes: Buffer | null | undefined): number =>
      bytes === null || bytes === undefined ? 0 : key.length + bytes.length;
    const draftBytes = actor.stateDraftBytes + size(value) - size(before);
    const max = turn.environment.manifest.limits.stateBytesMax;
    if (value !== null && actor.stateBytes + draftBytes > max) {
      trap("STATE_TOO_LARGE", `the actor's state would pass ${String(max)} bytes`);
    }
    actor.stateDraft ??= new Map();
    actor.stateDraft.set(key, value);
    actor.stateDraftBytes = draftBytes;
  }

  /** Keys with the prefix in byte order, as latin1. */
  keys(prefix: number, prefixLen: number): string[] {
    const { turn } = this;
    turn.requireMessage("state_list");
    const start = turn.range(prefix, prefixLen, "state_list");
    const text = turn.memory.bytes.toString("latin1", start, start + (prefixLen >>> 0));
    const keys = new Set<string>();
    for (const key of (turn.replayState ?? turn.actor.state).keys())
      if (key.startsWith(text)) keys.add(key);
    for (const [key, value] of turn.actor.stateDraft ?? []) {
      if (!key.startsWith(text)) continue;
      if (value === null) keys.delete(key);
      else keys.add(key);
    }
    return [...keys].sort();
  }

  stateList(prefix: number, prefixLen: number, buf: number, bufLen: number): number {
    const parts = this.keys(prefix, prefixLen).map((key) => {
      const part = Buffer.allocUnsafe(2 + key.length);
      part.writeUInt16LE(key.length, 0);
      part.write(key, 2, "latin1");
      return part;
    });
    return this.turn.give(Buffer.concat(parts), buf, bufLen, "state_list");
  }
}
