import { Message, fail, reply, state } from "caxton";

/** Ordinary memory, and durable: it is as it was after a crash. */
let count: u64 = 0;
let isAwake = false;

/** A message adds its number; `query-ref` only asks for the count. */
export function onMessage(message: Message): void {
  if (!isAwake) wakeUp();
  if (message.performative != "query-ref") add(message.text);
  if (message.wantsReply) reply(count.toString());
}

/** New memory, as after a reset, goes on from the key-value state. */
function wakeUp(): void {
  isAwake = true;
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
