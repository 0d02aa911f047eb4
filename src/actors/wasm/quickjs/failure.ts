/** How an exception of a program becomes the reason of a failed turn. */
const FRAMES_MAX = 10;
const TEXT_LENGTH_MAX = 2000;

/** What programs miss who were written for Node or a browser. */
const ABSENT: Readonly<Record<string, string>> = {
  process: "use ctx.config for settings",
  require: "use import; npm packages are bundled when the agent is deployed",
  Buffer: "use Uint8Array, TextEncoder and TextDecoder",
  XMLHttpRequest: "an agent has no network; send a message to an agent or client that has",
  WebSocket: "an agent has no network; send a message to an agent or client that has",
  URL: "bundle a package for it",
  setImmediate: "use setTimeout or queueMicrotask",
  __dirname: "an agent has no files",
  __filename: "an agent has no files",
};

export function describeFailure(message: string | undefined, stack: string | undefined): string {
  const text = hinted(message ?? "an exception without text").slice(0, TEXT_LENGTH_MAX);
  const frames = (stack ?? "").split("\n").filter((line) => line.trim().startsWith("at "));
  return [text, ...frames.slice(0, FRAMES_MAX).map((line) => `    ${line.trim()}`)].join("\n");
}

function hinted(message: string): string {
  const name = /^ReferenceError: '?(\w+)'? is not defined/.exec(message)?.[1];
  if (name === undefined || !Object.hasOwn(ABSENT, name)) return message;
  return `${message} (${name} is not there: ${ABSENT[name]!})`;
}
