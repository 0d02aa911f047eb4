/*
 * One actor of the ring bench: counts the message, notes how long it was under way, sends it on to an
 * actor drawn from its own generator. Content (at least 32 bytes, little-endian):
 *   0 f64 when it was first sent, ms since 1970   8 f64 when the hop before sent it
 *   16 u32 actors in the ring                     20 u32 hops left; the last one keeps the message
 * query-ref is answered with JSON: {"count":n,"hopMs":[...]}, messages per bucket of hop time, bucket b
 * holding [2^(b-1), 2^b) ms and bucket 0 what took less than one.
 */
#include <caxton.h>

enum { BUCKETS = 16, HEADER_BYTES = 32, CONTENT_BYTES_MAX = 4096 };

static uint64_t count;
static uint32_t buckets[BUCKETS];
static uint32_t generator;

/* xorshift32, seeded from the actor's own address so that every actor draws differently. */
static uint32_t draw(const caxton_message *message) {
  if (generator == 0) {
    caxton_slice self = caxton_receiver(message);
    generator = 2166136261u;
    for (size_t i = 0; i < self.bytes; i++) generator = (generator ^ self.at[i]) * 16777619u;
    if (generator == 0) generator = 1;
  }
  generator ^= generator << 13;
  generator ^= generator >> 17;
  generator ^= generator << 5;
  return generator;
}

static void note(double hop_ms) {
  size_t bucket = 0;
  for (double bound = 1; hop_ms >= bound && bucket < BUCKETS - 1; bound *= 2) bucket++;
  buckets[bucket]++;
}

static size_t append(char *to, const char *text) {
  size_t bytes = strlen(text);
  memcpy(to, text, bytes);
  return bytes;
}

static void answer(void) {
  char json[512];
  size_t end = append(json, "{\"count\":");
  end += caxton_decimal(json + end, count);
  end += append(json + end, ",\"hopMs\":");
  for (int i = 0; i < BUCKETS; i++) {
    json[end++] = i == 0 ? '[' : ',';
    end += caxton_decimal(json + end, buckets[i]);
  }
  end += append(json + end, "]}");
  caxton_draft(CAXTON_INFORM, "", 0);
  caxton_body(CAXTON_JSON, json, end);
  caxton_reply();
}

static void pass_on(const caxton_message *message) {
  static uint8_t next[CONTENT_BYTES_MAX];
  caxton_slice content = caxton_content(message);
  if (content.bytes < HEADER_BYTES || content.bytes > CONTENT_BYTES_MAX) {
    caxton_fail("the content is not a ring message", 33);
  }
  memcpy(next, content.at, content.bytes);
  double sent_ms, now_ms = caxton_now();
  uint32_t actors, hops;
  memcpy(&sent_ms, next + 8, sizeof sent_ms);
  memcpy(&actors, next + 16, sizeof actors);
  memcpy(&hops, next + 20, sizeof hops);
  count++;
  note(now_ms - sent_ms);
  if (hops == 0 || actors == 0) return;
  hops--;
  memcpy(next + 8, &now_ms, sizeof now_ms);
  memcpy(next + 20, &hops, sizeof hops);
  /* The agent's own namespace and name, another key. */
  caxton_slice self = caxton_receiver(message);
  char receiver[160];
  size_t prefix = self.bytes;
  while (self.at[prefix - 1] != '/') prefix--;
  memcpy(receiver, self.at, prefix);
  size_t key = caxton_decimal(receiver + prefix, draw(message) % actors);
  caxton_draft(CAXTON_INFORM, receiver, prefix + key);
  caxton_body(CAXTON_BYTES, next, content.bytes);
  caxton_send();
}

static int32_t on_message(const caxton_message *message) {
  if (message->performative == CAXTON_QUERY_REF) answer();
  else pass_on(message);
  return CAXTON_DONE;
}

CAXTON_AGENT(on_message)
