#include "caxton.h"

/* A variable like any other, and durable: it outlives a crash of the server. */
static uint64_t greeted;

static int32_t on_message(const caxton_message *message) {
  char text[64] = "Hello, you are number ";
  size_t bytes = strlen(text);
  bytes += caxton_decimal(text + bytes, ++greeted);
  caxton_log(CAXTON_INFO, text, bytes);
  caxton_draft(CAXTON_INFORM, "", 0);
  caxton_body(CAXTON_TEXT, text, bytes);
  if (message->flags & CAXTON_WANTS_REPLY) caxton_reply();
  return CAXTON_DONE;
}

CAXTON_AGENT(on_message)
