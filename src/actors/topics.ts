/** Topics are words joined by dots. In a pattern `*` stands for one word, a last `>` for one or more. */
const WORD = "[A-Za-z0-9_~-]+";
const PATTERN = new RegExp(`^(?:(?:${WORD}|\\*)\\.)*(?:${WORD}|\\*|>)$`);
const TOPIC = new RegExp(`^${WORD}(?:\\.${WORD})*$`);
const TOPIC_LENGTH_MAX = 200;

/** What an agent's manifest says of topics. */
export interface AgentTopics {
  /** `namespace/name`. */
  readonly agent: string;
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
}

export function isTopicPattern(text: string): boolean {
  return PATTERN.test(text);
}

export function isTopic(text: string): boolean {
  return text.length <= TOPIC_LENGTH_MAX && TOPIC.test(text);
}

export function matchesTopic(pattern: string, topic: string): boolean {
  const wanted = pattern.split(".");
  const words = topic.split(".");
  for (const [i, word] of wanted.entries()) {
    if (word === ">") return words.length > i;
    if (words[i] === undefined || (word !== "*" && word !== words[i])) return false;
  }
  return words.length === wanted.length;
}
