import { describe, expect, test } from "vitest";
import { Guest, IS_FAILURE, IS_REPLY, IS_TIMER, TEXT, WANTS_REPLY } from "./guest.ts";
import { fixture } from "./modules.ts";

const probe = (options = {}) => new Guest(fixture("probe"), options);

describe("a message", () => {
  test("is read field by field", () => {
    const replyBy = Buffer.alloc(8);
    replyBy.writeBigUInt64LE(1_234_567_890_123n);
    const { replies } = probe({ address: "default/probe/k~20" }).deliver({
      text: "message",
      id: "the-id",
      sender: "somebody",
      flags: WANTS_REPLY | 16,
      performative: 255,
      contentType: 255,
      extensions: [
        [1, "conversation"],
        [2, "with"],
        [3, "to"],
        [4, replyBy],
        [5, "ontology"],
        [6, "language"],
        [7, "protocol"],
        [8, "own-performative"],
        [9, "application/x-own"],
        [10, "ab\0long"],
        [10, "a\0short"],
      ],
    });
    expect(replies[0]!.text).toBe(
      "the-id|somebody|default/probe/k~20|own-performative|application/x-own|conversation|with|to|" +
        "1234567890123|ontology|language|protocol|short|long|true|7",
    );
  });

  test("has a correlation of 64 bits", () => {
    const correlation = 0xffffffffffffffffn;
    const { replies } = probe().deliver({ text: "correlation", flags: WANTS_REPLY, correlation });
    expect(replies[0]!.text).toBe("18446744073709551615");
  });

  test("without extensions has empty ones", () => {
    expect(probe().ask("message")).toBe(
      "id-1|default/other/two|default/agent/one|inform|text/plain||||0||||none|none|false|7",
    );
  });

  test.each([0, 1, 1023, 1024, 1025, 262_144])("of %i bytes is echoed byte for byte", (bytes) => {
    const content = Buffer.from(Array.from({ length: bytes }, (_, i) => i % 251));
    const guest = new Guest(fixture("echo"));
    for (let round = 0; round < 3; round++) {
      const { replies } = guest.deliver({ content, flags: WANTS_REPLY, contentType: 0 });
      expect(replies[0]!.content.equals(content)).toBe(true);
      expect(replies[0]!.contentType).toBe(0);
    }
  });
});

describe("a draft", () => {
  test("carries everything, its extensions in rising order", () => {
    const { sends } = probe().deliver({ text: "draft default/other/~20" });
    const replyBy = Buffer.alloc(8);
    replyBy.writeBigUInt64LE(1_234_567_890_123n);
    expect(sends).toHaveLength(1);
    expect(sends[0]).toMatchObject({
      receiver: "default/other/~20",
      performative: 255,
      contentType: 255,
      text: '{"k":"ü€😀"}',
    });
    expect(sends[0]!.extensions).toEqual([
      [1, Buffer.from("c")],
      [2, Buffer.from("rw")],
      [3, Buffer.from("irt")],
      [4, replyBy],
      [5, Buffer.from("o")],
      [6, Buffer.from("l")],
      [7, Buffer.from("p")],
      [8, Buffer.from("own-performative")],
      [9, Buffer.from("application/x-own")],
      [10, Buffer.from("b\x002")],
      [10, Buffer.from("a\x001")],
    ]);
  });

  test("that is used again keeps nothing of the one before", () => {
    const guest = probe();
    guest.deliver({ text: "draft default/other/x" });
    const { sends } = guest.deliver({ text: "send default/other/y hello" });
    expect(sends).toEqual([
      {
        receiver: "default/other/y",
        performative: 0,
        contentType: TEXT,
        extensions: [],
        content: Buffer.from("hello"),
        text: "hello",
      },
    ]);
  });
});

describe("host calls", () => {
  test("put, get, list and delete state", () => {
    const guest = probe();
    const long = "v".repeat(5000);
    expect(guest.ask("get a")).toBe("none");
    expect(guest.ask(`put a ${long}`)).toBe("ok");
    expect(guest.ask("get a")).toBe(long);
    for (let i = 0; i < 300; i++) guest.ask(`put key-${i} ${i}`);
    expect(guest.ask("list key-").split(",")).toHaveLength(300);
    guest.ask("delete a");
    expect(guest.ask("get a")).toBe("none");
  });

  test("read configuration, flags, address and time", () => {
    const guest = probe({
      address: "default/probe/me",
      nowMs: 1_800_000_000_001,
      config: { colour: "blue" },
      flags: { on: true, off: false },
    });
    expect(guest.ask("config colour")).toBe("blue");
    expect(guest.ask("config size")).toBe("none");
    expect([guest.ask("flag on"), guest.ask("flag off"), guest.ask("flag none")]).toEqual([
      "true",
      "false",
      "false",
    ]);
    expect(guest.ask("self")).toBe("default/probe/me");
    expect(guest.ask("now")).toBe("1800000000001");
    expect(guest.ask("date")).toBe("1800000000001");
  });

  test("take chance from the host, Math.random included", () => {
    const [host, library] = probe().ask("chance").split(" ");
    expect(host).toBe("0.25");
    expect(probe().ask("chance").split(" ")[1]).toBe(library);
  });

  test("emit events and write log lines", () => {
    const guest = probe();
    expect(guest.deliver({ text: "emit topic a b" }).calls).toEqual(["emit topic a b"]);
    expect(guest.deliver({ text: "log 2 careful" }).calls).toEqual(["log 2 careful"]);
    expect(guest.deliver({ text: "console hello" }).calls).toEqual(["log 1 hello"]);
  });

  test("set and cancel timers", () => {
    const guest = new Guest(fixture("ticker"));
    expect(guest.deliver({ text: "set 7 250 wake up" }).calls).toEqual(["timer 7 250 wake up"]);
    expect(guest.deliver({ text: "cancel 7" }).calls).toEqual(["cancel 7"]);
    guest.deliver({ text: "wake up", flags: IS_TIMER, correlation: 7n });
    expect(guest.state.get("fired")?.toString()).toBe("7:wake up");
  });
});

describe("an ask", () => {
  test("leaves the handler open until the reply, which answers the first message", () => {
    const guest = new Guest(fixture("asker"));
    const asked = guest.deliver({ text: "default/echo/1 500 hello you", flags: WANTS_REPLY });
    expect(asked.result).toBe(1);
    expect(asked.calls).toEqual(["ask 500"]);
    expect(asked.asks[0]).toMatchObject({ receiver: "default/echo/1", text: "hello you" });
    const answered = guest.deliver({ text: "hello you", flags: IS_REPLY, correlation: 1n });
    expect(answered.result).toBe(0);
    expect(answered.replies[0]!.text).toBe("hello you");
  });

  test("that fails says why", () => {
    const guest = new Guest(fixture("asker"));
    guest.deliver({ text: "default/echo/1 500 hello", flags: WANTS_REPLY });
    const failed = guest.deliver({
      text: "too late",
      flags: IS_FAILURE,
      extensions: [[12, "ASK_TIMEOUT"]],
    });
    expect(failed.replies[0]!.text).toBe("ASK_TIMEOUT: too late");
  });
});

test("a throw fails the turn with its text and place", () => {
  expect(() => probe().deliver({ text: "throw broken" })).toThrow(/^broken \(index\.ts:\d+:\d+\)$/);
});

test("a million messages fit into the memory that the first thousand took", () => {
  const guest = new Guest(fixture("adder"));
  guest.deliverTimes({ text: "1" }, 1000);
  const before = guest.memory.buffer.byteLength;
  guest.deliverTimes({ text: "1" }, 1_000_000);
  expect(guest.memory.buffer.byteLength).toBe(before);
  expect(guest.ask("0")).toBe("1001000 1001001");
});
