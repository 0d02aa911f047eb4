/** What tests import as `caxton/test`; sdk/agent/caxton-test.d.ts says the same to editors. */
export { strict as assert } from "node:assert";
export { test } from "node:test";
export { startNode } from "./test-node.ts";
