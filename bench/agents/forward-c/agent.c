/*
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
#include <caxton.h>

enum { FINE_BUCKETS = 512, BUCKETS = 1024, COARSE_MS = 16 };
enum { HEADER_BYTES = 40 };

static uint64_t count, kept, kept_turns;
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
  double bucket = hop_ms < FINE_BUCKETS ? hop_ms : FINE_BUCKETS + (hop_ms - FINE_BUCKETS) / COARSE_MS;
  buckets[bucket < 0 ? 0 : bucket < BUCKETS ? (uint32_t)bucket : BUCKETS - 1]++;
}

static size_t append(char *to, const char *text) {
  size_t bytes = strlen(text);
  memcpy(to, text, bytes);
  return bytes;
}

static void summary(void) {
  static char json[128 + BUCKETS * 11];
  size_t end = append(json, "{\"count\":");
  end += caxton_decimal(json + end, count);
  end += append(json + end, ",\"kept\":");
  end += caxton_decimal(json + end, kept);
  end += append(json + end, ",\"keptTurns\":");
  end += caxton_decimal(json + end, kept_turns);
  end += append(json + end, ",\"hops\":");
  for (int i = 0; i < BUCKETS; i++) {
    json[end++] = i == 0 ? '[' : ',';
    end += caxton_decimal(json + end, buckets[i]);
  }
  end += append(json + end, "]}");
  caxton_draft(CAXTON_INFORM, "", 0);
  caxton_body(CAXTON_JSON, json, end);
  caxton_reply();
}

static void echo(const caxton_message *message) {
  caxton_slice content = caxton_content(message);
  caxton_draft(CAXTON_INFORM, "", 0);
  caxton_body(message->content_type, content.at, content.bytes);
  caxton_reply();
}

/* The agent's own namespace and name, another key. */
static void send_on(const caxton_message *message, uint32_t actors, const void *content, size_t bytes) {
  caxton_slice self = caxton_receiver(message);
  char receiver[160];
  size_t prefix = self.bytes;
  while (self.at[prefix - 1] != '/') prefix--;
  memcpy(receiver, self.at, prefix);
  size_t key = caxton_decimal(receiver + prefix, draw(message) % actors);
  caxton_draft(CAXTON_INFORM, receiver, prefix + key);
  caxton_body(CAXTON_BYTES, content, bytes);
  caxton_send();
}

static void pass_on(const caxton_message *message) {
  caxton_slice content = caxton_content(message);
  if (content.bytes < HEADER_BYTES) caxton_fail("the content is not a ring message", 33);
  double sent_ms, from_ms, stop_ms, now_ms = caxton_now();
  uint32_t actors, copies, one = 1;
  uint64_t turns, none = 0;
  memcpy(&sent_ms, content.at, sizeof sent_ms);
  memcpy(&from_ms, content.at + 8, sizeof from_ms);
  memcpy(&stop_ms, content.at + 16, sizeof stop_ms);
  memcpy(&actors, content.at + 24, sizeof actors);
  memcpy(&copies, content.at + 28, sizeof copies);
  memcpy(&turns, content.at + 32, sizeof turns);
  count++;
  turns++;
  if (now_ms >= from_ms && now_ms < stop_ms) note(now_ms - sent_ms);
  if (now_ms >= stop_ms || actors == 0) {
    kept++;
    kept_turns += turns;
    return;
  }
  /* The message is ours until the handler returns: change it in place and send it on. */
  uint8_t *next = (uint8_t *)content.at;
  memcpy(next, &now_ms, sizeof now_ms);
  memcpy(next + 28, &one, sizeof one);
  memcpy(next + 32, &turns, sizeof turns);
  for (; copies > 0; copies--) {
    send_on(message, actors, next, content.bytes);
    memcpy(next + 32, &none, sizeof none);
  }
}

static int32_t on_message(const caxton_message *message) {
  if (message->performative == CAXTON_QUERY_REF) summary();
  else if (message->performative == CAXTON_REQUEST) echo(message);
  else pass_on(message);
  return CAXTON_DONE;
}

CAXTON_AGENT(on_message)
