import { Draft, Message, reply, self } from "caxton";

/** The effects of one turn are bounded; this stays below the default with room to spare. */
const EFFECTS_BYTES_MAX: i32 = 480 * 1024;
/** What a send costs besides its word: header, addresses, id. */
const SEND_BYTES: i32 = 128;
/** Longer words are no keys of an address; see longWordKey. */
const KEY_BYTES_MAX: i32 = 256;

const draft = new Draft();

/** A message is lower-case text; its words are runs of a to z. */
export function onMessage(message: Message): void {
  const counts = new Map<string, i32>();
  const start = message.contentAt;
  const end = start + message.contentBytes;
  let at = start;
  let spent = 0;
  let words = 0;
  while (at < end) {
    if (!isLetter(load<u8>(at))) {
      at++;
      continue;
    }
    const from = at;
    while (at < end && isLetter(load<u8>(at))) at++;
    const word = String.UTF8.decodeUnsafe(from, at - from);
    if (!counts.has(word)) {
      spent += SEND_BYTES + word.length;
      if (counts.size > 0 && spent + i32(end - at) > EFFECTS_BYTES_MAX) {
        // Too many different words for one turn: the rest is a message to ourselves.
        draft
          .to(self())
          .raw(from, i32(end - from))
          .contentType("text/plain")
          .send();
        break;
      }
      counts.set(word, 0);
    }
    counts.set(word, counts.get(word) + 1);
    words++;
  }
  sendCounts(counts);
  if (message.wantsReply) reply(words.toString());
}

function sendCounts(counts: Map<string, i32>): void {
  const words = counts.keys();
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const count = counts.get(word).toString();
    if (word.length <= KEY_BYTES_MAX) {
      draft.to("default/counter/" + word).text(count);
    } else {
      draft.to("default/counter/" + longWordKey(word)).text(count + " " + word);
    }
    draft.send();
  }
}

/** A key no ordinary word has, from the word's length and its 64-bit FNV-1a hash. */
function longWordKey(word: string): string {
  let hash: u64 = 0xcbf29ce484222325;
  for (let i = 0; i < word.length; i++) {
    hash = (hash ^ u64(word.charCodeAt(i))) * 0x100000001b3;
  }
  return "long-" + word.length.toString() + "-" + hash.toString(16).padStart(16, "0");
}

function isLetter(byte: u8): bool {
  return byte >= 0x61 && byte <= 0x7a;
}
