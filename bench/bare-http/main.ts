/**
 * The bare HTTP server: what a request costs when its JSON is read, another is written, and nothing is done.
 * Arguments: an answer to an ask and one to a request for the status, as the server under test gave them.
 * Prints where it listens.
 */
import { fastify } from "fastify";

interface AskAnswer {
  readonly reply: { readonly content: string };
}

const [ask, status] = process.argv.slice(2).map((text) => JSON.parse(text) as object);
const { reply, ...rest } = ask as AskAnswer;

const server = fastify();
server.post<{ Body: AskAnswer["reply"] }>("/ask", async ({ body }) => ({
  ...rest,
  reply: { ...reply, content: body.content },
}));
server.get("/status", async () => status);
const url = await server.listen({ host: "127.0.0.1", port: 0 });
process.stdout.write(`${new URL(url).host}\n`);
