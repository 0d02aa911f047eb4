/** What `import ... from "caxton"` gives an agent. */
export { address } from "./address.ts";
export { AskError } from "./ask-error.ts";
