/** A long queue that grew while no node ran: all of it is handled, once and in order for each actor. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { expect, onTestFinished, test } from "vitest";
import {
  connectAs,
  newDirectory,
  startDoorNode,
  startDoorServer,
} from "../../support/door-node.ts";
import { until } from "../../support/until.ts";

const ACTORS = 100;
const EACH = 1000;
const SEND_STREAM = "CAXTON_test_SEND";

test("a hundred thousand messages that were sent while no node ran", async () => {
  const directory = newDirectory();
  onTestFinished(() => directory.remove());
  const server = await startDoorServer();
  onTestFinished(() => server.dispose());
  const first = await startDoorNode({ directory: directory.path, server });
  await first.deploy("sequence");
  await first.stop();

  const client = await connectAs(server, "client");
  onTestFinished(() => client.close());
  for (let n = 1; n <= EACH; n++) {
    for (let actor = 0; actor < ACTORS; actor++) {
      client.publish(`caxton.v1.send.default.sequence.${actor}`, `queued ${n}`);
    }
    if (n % 50 === 0) await client.flush();
  }
  // The stream answers this one when it has all before it.
  await jetstream(client).publish("caxton.v1.send.default.sequence.last", "queued 1");
  const manager = await connectAs(server, "node");
  onTestFinished(() => manager.close());
  const { state } = await (await jetstreamManager(manager)).streams.info(SEND_STREAM);
  expect(state.messages).toBe(ACTORS * EACH + 1);

  const startedMs = performance.now();
  const node = await startDoorNode({ directory: directory.path, server });
  onTestFinished(() => node.stop());
  const counted = async (actor: number): Promise<string> => {
    const { value } = await node.kernel.actors.getState(`default/sequence/${actor}`, "queued");
    return Buffer.from(value).toString();
  };
  for (let actor = 0; actor < ACTORS; actor++) {
    const count = async (): Promise<string> => counted(actor).catch(() => "");
    await until(async () => Number((await count()).split(" ")[0]) >= EACH);
    // How many, the last, their sum, and how many did not follow the one before.
    expect(await count()).toBe(`${EACH} ${EACH} ${(EACH * (EACH + 1)) / 2} 0`);
  }
  const tookMs = performance.now() - startedMs;
  console.info(
    `${ACTORS * EACH} queued messages: ${Math.round((ACTORS * EACH * 1000) / tookMs)} a second`,
  );
});
