/** The client library for programs in TypeScript and JavaScript. */
export { CaxtonError } from "./caxton-error.ts";
export type { EventStream } from "./channel.ts";
export { type CaxtonClient, connect, type ConnectOptions, type Reply } from "./client.ts";
export type { SendOptions } from "./client.ts";
export { type Content, contentOf, encodeContent } from "./content.ts";
export type { CallOptions } from "./services.ts";
