import { readFileSync } from "node:fs";
import { Command } from "commander";
import { ensureError } from "../../src/base/errors.ts";
import type {
  OutgoingMessage,
  SubscribeMessagesResponse,
} from "../../src/gen/caxton/v1/message.ts";
import { collectPair, collectText, durationMs, positiveInteger } from "../arguments.ts";
import { UsageError } from "../usage-error.ts";
import { note } from "../output.ts";
import { textOf } from "../plain.ts";
import { inSession, type Session } from "../session.ts";
import { printEvents } from "../stream.ts";
import { addTraceCommand } from "./message-trace.ts";

const ASK_TIMEOUT_MS = 30_000;
const STREAMED_CONTENT_LENGTH_MAX = 120;

interface MessageOptions {
  readonly to: string;
  readonly content?: string;
  readonly contentFile?: string;
  readonly contentType?: string;
  readonly performative: string;
  readonly id: string;
  readonly conversation: string;
  readonly replyWith: string;
  readonly inReplyTo: string;
  readonly ontology: string;
  readonly language: string;
  readonly protocol: string;
  readonly header: Record<string, string>;
  readonly client: string;
}

interface StreamOptions {
  readonly address: string;
  readonly performative: string[];
  readonly conversation: string;
  readonly resume: string;
  readonly count?: number;
}

export function messageCommand(): Command {
  const command = new Command("message").description("send, ask, watch and trace messages");
  withMessageOptions(command.command("send"))
    .description("send a message; returns when it is durable")
    .action((stdin: string | undefined, options: MessageOptions, own: Command) =>
      inSession(own, (session) => send(session, outgoing(options, stdin))),
    );
  withMessageOptions(command.command("ask"))
    .description("send a message and print the reply")
    .option("--timeout <duration>", "how long to wait, e.g. 500ms, 30s", durationMs, ASK_TIMEOUT_MS)
    .action(
      (stdin: string | undefined, options: MessageOptions & { timeout: number }, own: Command) =>
        inSession(own, (session) => ask(session, outgoing(options, stdin), options.timeout)),
    );
  command
    .command("stream")
    .description("print messages as they become durable, until interrupted")
    .option("--address <prefix>", "only to or from addresses that begin with this", "")
    .option("--performative <name>", "only these (repeatable)", collectText, [])
    .option("--conversation <id>", "only this conversation", "")
    .option("--resume <token>", "go on after the message that came with this token", "")
    .option("--count <n>", "stop after this many", positiveInteger)
    .action((options: StreamOptions, own: Command) =>
      inSession(own, (session) => stream(session, options)),
    );
  addTraceCommand(command);
  return command;
}

function withMessageOptions(command: Command): Command {
  return command
    .argument("[-]", "read the content from standard input")
    .requiredOption("--to <address>", "namespace/agent/key; without a key: default")
    .option("--content <text>", "the content")
    .option("--content-file <file>", "read the content from a file")
    .option(
      "--content-type <type>",
      "default: application/json for a JSON object or array, text/plain for other text",
    )
    .option("--performative <name>", "what the message means, e.g. inform, request, query-ref", "")
    .option("--id <id>", "client message id: a repeat with the same id takes effect once", "")
    .option("--conversation <id>", "conversation id", "")
    .option("--reply-with <id>", "what a reply should name", "")
    .option("--in-reply-to <id>", "what this replies to", "")
    .option("--ontology <name>", "vocabulary of the content", "")
    .option("--language <name>", "language of the content", "")
    .option("--protocol <name>", "interaction protocol", "")
    .option("--header <key=value>", "header (repeatable)", collectPair, {})
    .option("--client <name>", "name of the sender", "");
}

async function send({ client, printer }: Session, message: OutgoingMessage): Promise<void> {
  const answer = await client.messages.sendMessage({ message });
  const outcome = answer.duplicate ? "was already accepted" : "is accepted";
  const place = `partition ${answer.partition}, frame ${answer.frame}`;
  printer.sentence(`${answer.id} ${outcome} (${place})`, answer);
}

async function ask(session: Session, message: OutgoingMessage, timeoutMs: number): Promise<void> {
  const { client, printer } = session;
  const { receiver, content, ...fields } = message;
  const answer = await client.ask(receiver, content, { ...fields, timeoutMs });
  const { id, duplicate, message: reply } = answer;
  if (printer.isWide) {
    printer.facts(reply, [
      { title: "ID", value: (m) => m.id },
      { title: "SENDER", value: (m) => m.sender },
      { title: "PERFORMATIVE", value: (m) => m.performative },
      { title: "CONTENT-TYPE", value: (m) => m.contentType },
      { title: "DUPLICATE", value: () => duplicate },
    ]);
  }
  printer.content(reply.content, { id, duplicate, reply });
}

async function stream(session: Session, options: StreamOptions): Promise<void> {
  const { address, performative: performatives, conversation: conversationId } = options;
  const request = { address, performatives, conversationId, resumeToken: options.resume };
  const events = session.client.subscribe(request);
  void events.opened.then(
    () => note("subscribed"),
    () => undefined,
  );
  let token = "";
  const textOf = (event: SubscribeMessagesResponse): string => {
    token = event.resumeToken;
    return eventText(event);
  };
  try {
    await printEvents(session, events, textOf, options.count);
  } finally {
    if (token !== "" && !session.printer.isForPrograms) note(`go on with --resume ${token}`);
  }
}

function eventText({ message, partition, frame }: SubscribeMessagesResponse): string {
  const { sender, receiver, performative, content } = message!;
  const text = textOf(content) ?? `${content.length} bytes`;
  const short =
    text.length > STREAMED_CONTENT_LENGTH_MAX
      ? `${text.slice(0, STREAMED_CONTENT_LENGTH_MAX)}...`
      : text;
  return `${partition}:${frame} ${sender} -> ${receiver} ${performative} ${short.replaceAll("\n", "\\n")}`;
}

function outgoing(options: MessageOptions, stdin: string | undefined): OutgoingMessage {
  const content = readContent(options, stdin);
  return {
    receiver: options.to,
    id: options.id,
    performative: options.performative,
    contentType: options.contentType ?? contentTypeOf(content),
    content,
    conversationId: options.conversation,
    replyWith: options.replyWith,
    inReplyTo: options.inReplyTo,
    ontology: options.ontology,
    language: options.language,
    protocol: options.protocol,
    headers: options.header,
    client: options.client,
  };
}

function readContent(options: MessageOptions, stdin: string | undefined): Uint8Array {
  const { content, contentFile } = options;
  if ([stdin, content, contentFile].filter((given) => given !== undefined).length > 1) {
    throw new UsageError("Give the content once: --content, --content-file or -.");
  }
  if (stdin !== undefined && stdin !== "-") {
    throw new UsageError(`"${stdin}" is left over.`, "Give the content with --content.");
  }
  if (stdin === "-") return readFileSync(process.stdin.fd);
  if (contentFile === undefined) return Buffer.from(content ?? "");
  try {
    return readFileSync(contentFile);
  } catch (error) {
    throw new UsageError(`Can't read ${contentFile}: ${ensureError(error).message}`);
  }
}

function contentTypeOf(content: Uint8Array): string {
  const text = textOf(content);
  if (text === undefined) return "application/octet-stream";
  return /^\s*[{[]/.test(text) && isJson(text) ? "application/json" : "text/plain";
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
