/** Given to Node with --import: lets an author's tests import `caxton/test` without installing anything. */
import { registerHooks } from "node:module";

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "caxton/test"
      ? { url: new URL("index.ts", import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});
