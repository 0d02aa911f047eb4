import { Draft, Message, fail, now } from "caxton";

/**
 * One actor of the ring bench: counts the message, notes how long it was under way, sends it on to an
 * actor drawn from its own generator. Content (at least 32 bytes, little-endian):
 *   0 f64 when it was first sent, ms since 1970   8 f64 when the hop before sent it
 *   16 u32 actors in the ring                     20 u32 hops left; the last one keeps the message
 * query-ref is answered with JSON: {"count":n,"hopMs":[...]}, messages per bucket of hop time, bucket b
 * holding [2^(b-1), 2^b) ms and bucket 0 what took less than one.
 */
const CONTENT_BYTES_MIN = 32;

const buckets = new StaticArray<u32>(16);
const draft = new Draft();
let count: u64 = 0;
let generator: u32 = 0;
/** The agent's own namespace and name, with the slash before the key. */
let agent = "";

export function onMessage(message: Message): void {
  if (message.performative == "query-ref") {
    draft
      .to("")
      .json(`{"count":${count},"hopMs":[${buckets.join(",")}]}`)
      .reply();
  } else {
    if (generator == 0) wakeUp(message.receiver);
    passOn(message);
  }
}

function passOn(message: Message): void {
  if (message.contentBytes < CONTENT_BYTES_MIN) fail("the content is not a ring message");
  const content = message.contentAt;
  const nowMs = f64(now());
  const actors = load<u32>(content, 16);
  const hops = load<u32>(content, 20);
  count++;
  note(nowMs - load<f64>(content, 8));
  if (hops == 0 || actors == 0) return;
  // The message is ours until the handler returns: change it in place and send it on.
  store<f64>(content, nowMs, 8);
  store<u32>(content, hops - 1, 20);
  draft
    .to(agent + (draw() % actors).toString())
    .raw(content, message.contentBytes)
    .send();
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
  let bucket = 0;
  for (let bound: f64 = 1; hopMs >= bound && bucket < buckets.length - 1; bound *= 2) bucket++;
  buckets[bucket]++;
}
