import { assert, startNode, test } from "caxton/test";

test("counts for every actor, also after a crash", async (t) => {
  const node = await startNode();
  t.after(() => node.stop());
  await node.deploy(".");

  const greet = async (actor: string, whom: string) =>
    (await node.ask(`default/my-agent/${actor}`, whom)).text;
  assert.equal(await greet("door", "Ada"), "Hello Ada, you are number 1.");
  assert.equal(await greet("window", "Alan"), "Hello Alan, you are number 1.");

  await node.restart();
  assert.equal(await greet("door", "Grace"), "Hello Grace, you are number 2.");
});
