/*
 * Agents in C: the message, the draft and the host calls of agent ABI v1 (docs/agent-abi.md).
 * An agent is one translation unit that includes this and says CAXTON_AGENT(on_message).
 */
#ifndef CAXTON_H
#define CAXTON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CAXTON_HOST(name) __attribute__((import_module("caxton"), import_name(name)))
#define CAXTON_EXPORT(name) __attribute__((export_name(name)))

/* ---- host calls ---- */

CAXTON_HOST("send") void caxton_host_send(const void *draft, size_t bytes);
CAXTON_HOST("ask") int64_t caxton_host_ask(const void *draft, size_t bytes, int32_t timeout_ms);
CAXTON_HOST("reply") void caxton_host_reply(const void *draft, size_t bytes);
/* Does not return: nothing the turn did takes place, and the message is tried again later. */
CAXTON_HOST("fail") _Noreturn void caxton_fail(const char *reason, size_t bytes);
/* Bytes of the value, or -1. Copies the value when it fits. */
CAXTON_HOST("state_get")
int32_t caxton_state_get(const void *key, size_t key_bytes, void *buffer, size_t buffer_bytes);
CAXTON_HOST("state_put")
void caxton_state_put(const void *key, size_t key_bytes, const void *value, size_t value_bytes);
CAXTON_HOST("state_delete") void caxton_state_delete(const void *key, size_t key_bytes);
/* Keys with the prefix, each as u16 bytes, bytes. Returns the bytes needed; copies when they fit. */
CAXTON_HOST("state_list")
int32_t caxton_state_list(const void *prefix, size_t prefix_bytes, void *buffer, size_t buffer_bytes);
CAXTON_HOST("emit")
void caxton_emit(const void *topic, size_t topic_bytes, const void *content, size_t bytes);
CAXTON_HOST("timer_set")
void caxton_timer_set(int64_t id, int32_t delay_ms, const void *content, size_t bytes);
CAXTON_HOST("timer_cancel") void caxton_timer_cancel(int64_t id);
CAXTON_HOST("log") void caxton_log(int32_t level, const char *text, size_t bytes);
/* Milliseconds since 1970; constant within a turn. */
CAXTON_HOST("now") double caxton_now(void);
CAXTON_HOST("random") double caxton_random(void);
CAXTON_HOST("config_get")
int32_t caxton_config_get(const void *key, size_t key_bytes, void *buffer, size_t buffer_bytes);
/* 1, 0, or -1 when there is no such flag. */
CAXTON_HOST("flag_get") int32_t caxton_flag_get(const void *key, size_t key_bytes);
CAXTON_HOST("self") int32_t caxton_self(void *buffer, size_t buffer_bytes);

enum { CAXTON_DEBUG, CAXTON_INFO, CAXTON_WARN, CAXTON_ERROR };

/* What on_message returns. */
enum { CAXTON_DONE, CAXTON_OPEN };

enum {
  CAXTON_WANTS_REPLY = 1,
  CAXTON_IS_REPLY = 2,
  CAXTON_IS_FAILURE = 4,
  CAXTON_IS_TIMER = 8,
  CAXTON_FROM_CLIENT = 16,
};

enum {
  CAXTON_INFORM, CAXTON_REQUEST, CAXTON_QUERY_IF, CAXTON_QUERY_REF, CAXTON_CFP, CAXTON_PROPOSE,
  CAXTON_ACCEPT_PROPOSAL, CAXTON_REJECT_PROPOSAL, CAXTON_AGREE, CAXTON_REFUSE, CAXTON_FAILURE,
  CAXTON_NOT_UNDERSTOOD, CAXTON_SUBSCRIBE, CAXTON_CANCEL, CAXTON_CONFIRM, CAXTON_DISCONFIRM,
  CAXTON_INFORM_IF, CAXTON_INFORM_REF, CAXTON_PROPAGATE, CAXTON_PROXY, CAXTON_REQUEST_WHEN,
  CAXTON_REQUEST_WHENEVER,
};

enum { CAXTON_BYTES, CAXTON_JSON, CAXTON_TEXT };

/* Tags of extensions. */
enum {
  CAXTON_CONVERSATION_ID = 1,
  CAXTON_REPLY_WITH,
  CAXTON_IN_REPLY_TO,
  CAXTON_REPLY_BY,
  CAXTON_ONTOLOGY,
  CAXTON_LANGUAGE,
  CAXTON_PROTOCOL,
  CAXTON_PERFORMATIVE,
  CAXTON_CONTENT_TYPE,
  CAXTON_HEADER,
  CAXTON_ERROR_CODE = 12,
};

/* ---- the message ---- */

/* As the host wrote it; good until the handler returns. */
typedef struct {
  uint32_t total_bytes;
  uint16_t flags;
  uint8_t performative;
  uint8_t content_type;
  uint16_t id_bytes;
  uint16_t sender_bytes;
  uint16_t receiver_bytes;
  uint16_t zero;
  uint32_t extension_bytes;
  uint32_t content_bytes;
  uint64_t correlation;
} caxton_message;

_Static_assert(sizeof(caxton_message) == 32, "the header of a message has 32 bytes");

/* A piece of memory that is not ended by a zero. */
typedef struct {
  const uint8_t *at;
  size_t bytes;
} caxton_slice;

static inline caxton_slice caxton_id(const caxton_message *message) {
  return (caxton_slice){(const uint8_t *)(message + 1), message->id_bytes};
}

static inline caxton_slice caxton_sender(const caxton_message *message) {
  caxton_slice id = caxton_id(message);
  return (caxton_slice){id.at + id.bytes, message->sender_bytes};
}

static inline caxton_slice caxton_receiver(const caxton_message *message) {
  caxton_slice sender = caxton_sender(message);
  return (caxton_slice){sender.at + sender.bytes, message->receiver_bytes};
}

static inline caxton_slice caxton_extensions(const caxton_message *message) {
  caxton_slice receiver = caxton_receiver(message);
  return (caxton_slice){receiver.at + receiver.bytes, message->extension_bytes};
}

static inline caxton_slice caxton_content(const caxton_message *message) {
  caxton_slice extensions = caxton_extensions(message);
  return (caxton_slice){extensions.at + extensions.bytes, message->content_bytes};
}

/* The first extension with the tag; `at` is NULL when there is none. */
static inline caxton_slice caxton_extension(const caxton_message *message, uint8_t tag) {
  caxton_slice all = caxton_extensions(message);
  for (size_t offset = 0; offset < all.bytes;) {
    const uint8_t *at = all.at + offset;
    uint16_t bytes;
    memcpy(&bytes, at + 2, sizeof bytes);
    if (at[0] == tag) return (caxton_slice){at + 4, bytes};
    offset += 4u + bytes;
  }
  return (caxton_slice){NULL, 0};
}

/* ---- the draft ---- */

/* Memory that is kept and only ever grows. */
typedef struct {
  uint8_t *at;
  size_t capacity;
} caxton_block;

static inline void caxton_reserve(caxton_block *block, size_t bytes) {
  if (bytes <= block->capacity) return;
  size_t capacity = block->capacity ? block->capacity : 1024;
  while (capacity < bytes) capacity *= 2;
  uint8_t *at = realloc(block->at, capacity);
  if (at == NULL) caxton_fail("out of memory", 13);
  block->at = at;
  block->capacity = capacity;
}

/*
 * One draft is written at a time, in this order: caxton_draft, caxton_extend (rising tags), caxton_body,
 * then one of caxton_send, caxton_ask, caxton_reply.
 */
static caxton_block caxton_out;
static size_t caxton_out_bytes;

static inline void caxton_append(const void *from, size_t bytes) {
  caxton_reserve(&caxton_out, caxton_out_bytes + bytes);
  if (bytes > 0) memcpy(caxton_out.at + caxton_out_bytes, from, bytes);
  caxton_out_bytes += bytes;
}

static inline void caxton_set_u32(size_t offset, uint32_t value) {
  memcpy(caxton_out.at + offset, &value, sizeof value);
}

/* A reply has no receiver. */
static inline void caxton_draft(uint8_t performative, const char *receiver, size_t receiver_bytes) {
  const uint8_t header[16] = {0, 0, performative, 0, (uint8_t)receiver_bytes,
                              (uint8_t)(receiver_bytes >> 8)};
  caxton_out_bytes = 0;
  caxton_append(header, sizeof header);
  caxton_append(receiver, receiver_bytes);
}

static inline void caxton_extend(uint8_t tag, const void *value, uint16_t bytes) {
  uint32_t extension_bytes;
  memcpy(&extension_bytes, caxton_out.at + 8, sizeof extension_bytes);
  caxton_set_u32(8, extension_bytes + 4 + bytes);
  const uint8_t header[4] = {tag, 0, (uint8_t)bytes, (uint8_t)(bytes >> 8)};
  caxton_append(header, sizeof header);
  caxton_append(value, bytes);
}

static inline void caxton_body(uint8_t content_type, const void *content, size_t bytes) {
  caxton_out.at[3] = content_type;
  caxton_set_u32(12, bytes);
  caxton_append(content, bytes);
}

static inline void caxton_send(void) {
  caxton_host_send(caxton_out.at, caxton_out_bytes);
}

/* The ask's number, which is the correlation of its reply. 0 ms means 30 seconds. */
static inline uint64_t caxton_ask(int32_t timeout_ms) {
  return (uint64_t)caxton_host_ask(caxton_out.at, caxton_out_bytes, timeout_ms);
}

static inline void caxton_reply(void) {
  caxton_host_reply(caxton_out.at, caxton_out_bytes);
}

/* Writes a number in decimal, without the weight of printf; returns its bytes (at most 20). */
static inline size_t caxton_decimal(char *to, uint64_t value) {
  size_t bytes = value < 10 ? 0 : caxton_decimal(to, value / 10);
  to[bytes] = (char)('0' + value % 10);
  return bytes + 1;
}

/* ---- the exports ---- */

#define CAXTON_AGENT(on_message)                                              \
  static caxton_block caxton_inbox;                                           \
  CAXTON_EXPORT("caxton_alloc") void *caxton_alloc(size_t bytes) {            \
    caxton_reserve(&caxton_inbox, bytes);                                     \
    return caxton_inbox.at;                                                   \
  }                                                                           \
  CAXTON_EXPORT("caxton_handle") int32_t caxton_handle(const void *at, size_t bytes) { \
    (void)bytes;                                                              \
    return on_message(at);                                                    \
  }

#endif
