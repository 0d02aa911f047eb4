/** The tables of docs/agent-abi.md that messages and drafts share. */
export const FLAG_WANTS_REPLY = 1;
export const FLAG_REPLY = 2;
export const FLAG_FAILURE = 4;
export const FLAG_TIMER = 8;

/** A code outside the table: the name stands in an extension. */
export const OTHER = 255;

export const TAG = {
  conversationId: 1,
  replyWith: 2,
  inReplyTo: 3,
  replyBy: 4,
  ontology: 5,
  language: 6,
  protocol: 7,
  performative: 8,
  contentType: 9,
  header: 10,
  errorCode: 12,
} as const;

export const CONTENT_TYPES = ["application/octet-stream", "application/json", "text/plain"];

export const INFORM = 0;
export const REQUEST = 1;

export const PERFORMATIVES = [
  "inform",
  "request",
  "query-if",
  "query-ref",
  "cfp",
  "propose",
  "accept-proposal",
  "reject-proposal",
  "agree",
  "refuse",
  "failure",
  "not-understood",
  "subscribe",
  "cancel",
  "confirm",
  "disconfirm",
  "inform-if",
  "inform-ref",
  "propagate",
  "proxy",
  "request-when",
  "request-whenever",
];
