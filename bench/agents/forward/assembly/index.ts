import { Draft, Message, fail, now } from "caxton";

/**
 * One actor of the ring bench: counts the message, notes how long it was under way, sends it on to an
 * actor drawn from its own generator. Content (at least 32 bytes, little-endian):
 *   0 f64 when the hop before sent it, ms since 1970
 *   8 f64 from when on hop times are noted         16 f64 when it stops: it is kept from then on
 *   24 u32 actors in the ring                      28 u32 how many this message becomes
 *   32 u64 turns that have handled it: the first of the messages it becomes takes them over
 * query-ref is answered with JSON: {"count":n,"kept":n,"keptTurns":n,"hops":[...]}: messages counted; those
 * kept at the end and the turns they carried; messages noted per bucket of hop time, 512 of 1 ms, then 512
 * of 16 ms, the last one open. A request is answered with its own content.
 */
const CONTENT_BYTES_MIN = 40;
const FINE_BUCKETS = 512;
const BUCKETS = 1024;
const COARSE_MS = 16;

const buckets = new StaticArray<u32>(BUCKETS);
const draft = new Draft();
let count: u64 = 0;
let kept: u64 = 0;
let keptTurns: u64 = 0;
let generator: u32 = 0;
/** The agent's own namespace and name, with the slash before the key. */
let agent = "";

export function onMessage(message: Message): void {
  const performative = message.performative;
  if (performative == "query-ref") {
    draft.to("").json(summary()).reply();
  } else if (performative == "request") {
    draft.to("").raw(message.contentAt, message.contentBytes).reply();
  } else {
    if (generator == 0) wakeUp(message.receiver);
    passOn(message);
  }
}

function summary(): string {
  const counts = `"count":${count},"kept":${kept},"keptTurns":${keptTurns}`;
  return `{${counts},"hops":[${buckets.join(",")}]}`;
}

function passOn(message: Message): void {
  if (message.contentBytes < CONTENT_BYTES_MIN) fail("the content is not a ring message");
  const content = message.contentAt;
  const nowMs = f64(now());
  const stopMs = load<f64>(content, 16);
  const actors = load<u32>(content, 24);
  const copies = load<u32>(content, 28);
  const turns = load<u64>(content, 32) + 1;
  count++;
  if (nowMs >= load<f64>(content, 8) && nowMs < stopMs) note(nowMs - load<f64>(content));
  if (nowMs >= stopMs || actors == 0) {
    kept++;
    keptTurns += turns;
    return;
  }
  // The message is ours until the handler returns: change it in place and send it on.
  store<f64>(content, nowMs);
  store<u32>(content, 1, 28);
  store<u64>(content, turns, 32);
  for (let i: u32 = 0; i < copies; i++) {
    draft
      .to(agent + (draw() % actors).toString())
      .raw(content, message.contentBytes)
      .send();
    store<u64>(content, 0, 32);
  }
}

/** Seeds the generator from the actor's own address so that every actor draws differently. */
function wakeUp(self: string): void {
  agent = self.substring(0, self.lastIndexOf("/") + 1);
  generator = 2166136261;
  for (let i = 0; i < self.length; i++) {
    generator = (generator ^ u32(self.charCodeAt(i))) * 16777619;
  }
  if (generator == 0) generator = 1;
}

/** xorshift32. */
function draw(): u32 {
  generator ^= generator << 13;
  generator ^= generator >> 17;
  generator ^= generator << 5;
  return generator;
}

function note(hopMs: f64): void {
  const coarse = FINE_BUCKETS + (hopMs - FINE_BUCKETS) / COARSE_MS;
  const bucket = hopMs < FINE_BUCKETS ? hopMs : coarse;
  buckets[i32(max(0, min(bucket, BUCKETS - 1)))]++;
}
