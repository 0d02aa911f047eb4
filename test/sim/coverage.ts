/** How often each fault and branch came up. With enough seeds, one that never did is a failure of its own. */
export const EXPECTED = [
  "append acked",
  "append ack lost",
  "append unknown, not written",
  "append unknown, written later",
  "append refused though it fitted",
  "append refused with a stale sequence",
  "append decided durable from the log",
  "append fenced",
  "epoch frame misplaced",
  "epoch frame void",
  "partition contended",
  "replaced worker recovered anew",
  "append resent",
  "leader lost",
  "unacknowledged frames lost with the leader",
  "append without a leader",
  "read waits for a leader",
  "storage away for long",
  "service resumed with a leader",
  "acknowledged tail lost",
  "acknowledged message lost with the tail",
  "acknowledged message kept though a tail was lost",
  "lost tail noticed",
  "trimmed by a zombie",
  "recovery overtaken by a trim",
  "recovery overtaken by a checkpoint",
  "recovery overtaken by a take-over",
  "process killed",
  "power lost",
  "end of the stream of sends lost",
  "place in the stream of sends taken back",
  "unsynced frames lost",
  "worker killed",
  "worker killed while it recovers",
  "worker killed while another one recovers",
  "clean restart",
  "node taken over",
  "clock set back",
  "clock set forward",
  "storage stalled",
  "process crashed by a message",
  "client send accepted",
  "client ask replied",
  "client ask failed",
  "client told duplicate",
  "client request lost",
  "client gave up waiting",
  "client refused MAILBOX_FULL",
  "client refused QUOTA_EXHAUSTED",
  "client refused DEDUP_WINDOW_FULL",
  "client refused AGENT_NOT_FOUND",
  "client refused MESSAGE_TOO_LARGE",
  "client refused STORAGE_UNAVAILABLE",
  "stream begun",
  "stream given up on",
  "streamed message accepted",
  "streamed message settled",
  "streamed message refused",
  "streamed message waits",
  "turn committed",
  "turn left open",
  "turn continued a handler",
  "turn failed AGENT_TRAPPED",
  "turn failed AGENT_FAILED",
  "turn failed FUEL_EXHAUSTED",
  "turn failed TURN_TIMEOUT",
  "turn failed EFFECTS_TOO_LARGE",
  "turn failed STATE_TOO_LARGE",
  "turn failed OVERLOADED",
  "turn failed ASK_CHAIN_TOO_LONG",
  "turn skipped",
  "batch cut short",
  "turn rolled back by image",
  "turn rolled back by replay",
  "turn replayed",
  "actor passivated",
  "actor restored from an image",
  "message moved",
  "checkpoint named",
  "recovery from a checkpoint",
  "log trimmed",
  "blob deleted",
  "actor went over to another version",
  "actor could not go over to another version",
  "replay diverged",
  "dead letter AGENT_TRAPPED",
  "dead letter MAILBOX_FULL",
  "dead letter AGENT_NOT_FOUND",
  "dead letter REENTRANT_ASK",
  "dead letter PROCESS_CRASH",
  "dead letter evicted",
  "relay accepted",
  "relay refetched",
  "relay dropped",
  "late answer discarded",
  "failure sent to an asker",
  "ask timed out",
  "timer fired",
  "intent written",
  "message of an ephemeral actor accepted",
  "frame of an epoch",
  "agent suspended",
  "agent resumed",
  "agent deployed anew",
  "agent removed",
  "actor held",
  "actor released",
  "actor reset",
  "dead letter retried",
  "dead letter dropped",
  "state compared live",
  "state compared in recovery",
] as const;

export type Branch = (typeof EXPECTED)[number];

export class Coverage {
  readonly counts = new Map<string, number>();

  hit(branch: Branch, times = 1): void {
    this.counts.set(branch, (this.counts.get(branch) ?? 0) + times);
  }

  /** For names made of codes: those nobody expects are listed too. */
  hitNamed(branch: string): void {
    this.counts.set(branch, (this.counts.get(branch) ?? 0) + 1);
  }

  add(other: Coverage): void {
    for (const [branch, count] of other.counts) {
      this.counts.set(branch, (this.counts.get(branch) ?? 0) + count);
    }
  }

  missing(): string[] {
    return EXPECTED.filter((branch) => !this.counts.has(branch));
  }

  table(): string {
    const names = new Set<string>([...EXPECTED, ...this.counts.keys()]);
    const width = Math.max(...[...names].map((name) => name.length));
    return [...names]
      .map((name) => `${name.padEnd(width)}  ${String(this.counts.get(name) ?? 0).padStart(9)}`)
      .join("\n");
  }
}
