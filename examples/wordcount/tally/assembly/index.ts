import { Draft, Message, fail, state } from "caxton";

const TOP_MAX = 10;

const totals = new Map<string, u64>();
/** The most frequent words, the most frequent first. */
const top: string[] = [];
let sum: u64 = 0;

const draft = new Draft();

/** Counters send `word total`; `query-ref` asks for the summary as JSON. */
export function onMessage(message: Message): void {
  if (message.performative == "query-ref") {
    draft.to("").json(summary()).reply();
    return;
  }
  const text = message.text;
  const space = text.indexOf(" ");
  if (space < 0) fail("not a word and its total: " + text);
  const word = text.substring(0, space);
  const total = U64.parseInt(text.substring(space + 1));
  sum += total - (totals.has(word) ? totals.get(word) : 0);
  totals.set(word, total);
  rank(word);
  state.put("summary", summary());
}

/** Totals only grow, so a word moves up or stays. */
function rank(word: string): void {
  const before = top.indexOf(word);
  if (before >= 0) top.splice(before, 1);
  let place = top.length;
  while (place > 0 && isAhead(word, top[place - 1])) place--;
  if (place >= TOP_MAX) return;
  top.push(word);
  for (let i = top.length - 1; i > place; i--) top[i] = top[i - 1];
  top[place] = word;
  if (top.length > TOP_MAX) top.pop();
}

function isAhead(word: string, other: string): bool {
  const total = totals.get(word);
  const otherTotal = totals.get(other);
  return total > otherTotal || (total == otherTotal && word < other);
}

function summary(): string {
  const ranked = top.map<string>((word) => `{"word":"${word}","count":${totals.get(word)}}`);
  return `{"words":${totals.size},"total":${sum},"top":[${ranked.join(",")}]}`;
}
