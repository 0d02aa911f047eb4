import { Message, fail, reply, self, send, state, timers } from "caxton";

const TALLY = "default/tally/default";
const TELL_TALLY: u64 = 1;
const TELL_TALLY_AFTER_MS = 1000;

/** Ordinary memory, and durable: it is as it was after a crash. */
let count: u64 = 0;
let word = "";
let tallyKnows = true;

/** A message adds its number; `query-ref` asks for the count. */
export function onMessage(message: Message): void {
  if (word == "") wakeUp();
  if (message.isTimer) {
    tallyKnows = true;
    send(TALLY, word + " " + count.toString());
  } else if (message.performative == "query-ref") {
    reply(count.toString());
  } else {
    add(message.text);
    if (message.wantsReply) reply(count.toString());
  }
}

/** New memory, as after a reset, goes on from the key-value state. */
function wakeUp(): void {
  const address = self();
  word = address.substring(address.lastIndexOf("/") + 1);
  const before = state.get("count");
  if (before !== null) count = U64.parseInt(before);
}

/** `3`, or for words too long to be a key `3 word`. */
function add(text: string): void {
  const space = text.indexOf(" ");
  const added = space < 0 ? text : text.substring(0, space);
  if (!isNumber(added)) fail("not a number: " + text);
  if (space >= 0) checkLongWord(text.substring(space + 1));
  count += U64.parseInt(added);
  state.put("count", count.toString());
  if (!tallyKnows) return;
  // The tally hears of a busy word once a second, not with every message.
  tallyKnows = false;
  timers.set(TELL_TALLY, TELL_TALLY_AFTER_MS);
}

/** Two long words with one key would be counted as one: better to stop. */
function checkLongWord(longWord: string): void {
  const known = state.get("word");
  if (known === null) state.put("word", longWord);
  else if (known != longWord) fail("two words share this key");
}

function isNumber(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return false;
  }
  return text.length > 0;
}
