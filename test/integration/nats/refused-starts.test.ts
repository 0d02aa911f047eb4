/** What a whole node says and how it ends where its NATS servers will not do. */
import { expect, test } from "vitest";
import { EXIT } from "../../../src/base/exit-codes.ts";
import type { NatsServerOptions } from "../../support/nats-servers.ts";
import { runServerToItsEnd } from "../../support/server.ts";
import { startNats } from "./node-process.ts";

const PASSWORD: NatsServerOptions = {
  configuration: "authorization { user: caxton, password: secret }",
  user: "caxton",
  password: "secret",
};

test.each<[string, NatsServerOptions, string, RegExp]>([
  ["a wrong password", PASSWORD, "NATS_REFUSED", /refuses user caxton: .*Authorization Violation/i],
  ["JetStream off", { jetstream: false }, "NATS_UNSUITABLE", /JetStream is off for /],
  [
    "messages that may not be large enough",
    { maxPayloadBytes: 512 * 1024 },
    "INVALID_CONFIG",
    /max_payload of the NATS servers is 524288 bytes; Caxton needs \d+/,
  ],
])("%s", async (_, options, code, said) => {
  const nats = await startNats(options);
  const user = options === PASSWORD ? ["storage.nats.user=caxton"] : [];
  const sets = ["storage.engine=jetstream", `storage.nats.servers=${nats.url}`, ...user];
  const env = { CAXTON_NATS_PASSWORD: "wrong" };
  const { code: exit, stderr } = await runServerToItsEnd({ sets, env });
  expect(Object.values(EXIT)).toContain(exit);
  expect(exit).not.toBe(EXIT.ok);
  expect(stderr).toContain(`code: ${code}`);
  expect(stderr).toMatch(new RegExp(`^error: .*${said.source}`, "im"));
  expect(stderr).toMatch(/^ {2}fix: ./m);
});
