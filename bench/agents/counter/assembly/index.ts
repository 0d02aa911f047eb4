import { Draft, Message } from "caxton";

/**
 * Counts its messages and answers with the count. Keys are 0 to ACTORS - 1, in a ring. By performative:
 *   query-ref  answers with the count, and is not counted itself
 *   propagate  "FROM TO VISITS ACTORS": sends "VISITS ACTORS" to each key from FROM up to TO, not counted; of one
 *              visit nothing is left to say
 *   any other  counted; with the content "VISITS ACTORS" so many actors in a row are visited, this one first
 */
const draft = new Draft();
let count: u64 = 0;

export function onMessage(message: Message): void {
  const performative = message.performative;
  if (performative == "propagate") {
    start(prefix(message.receiver), message.text);
    return;
  }
  if (performative != "query-ref") {
    count++;
    if (message.contentBytes > 0) visitNext(message.receiver, message.text);
  }
  if (message.wantsReply) draft.to("").text(count.toString()).reply();
}

function visitNext(self: string, content: string): void {
  const words = content.split(" ");
  const visits = I32.parseInt(words[0]);
  const actors = I32.parseInt(words[1]);
  if (visits <= 1) return;
  const agent = prefix(self);
  const next = (I32.parseInt(self.substring(agent.length)) + 1) % actors;
  draft
    .to(agent + next.toString())
    .text(`${visits - 1} ${actors}`)
    .send();
}

function start(agent: string, content: string): void {
  const words = content.split(" ");
  const to = I32.parseInt(words[1]);
  const visit = words[2] == "1" ? "" : `${words[2]} ${words[3]}`;
  for (let key = I32.parseInt(words[0]); key < to; key++) {
    draft
      .to(agent + key.toString())
      .text(visit)
      .send();
  }
}

/** The agent's own namespace and name, with the slash before the key. */
function prefix(self: string): string {
  return self.substring(0, self.lastIndexOf("/") + 1);
}
