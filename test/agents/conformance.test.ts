/**
 * One suite for every call of the ABI, run unchanged against a probe in each language.
 *
 * A message to a probe is one command, `<verb> <argument> <rest>`, with single spaces. The probe does what the
 * table says and replies with the answer as text/plain, if the sender waits for a reply.
 *
 * | command                             | does                                                          | answer                   |
 * | ----------------------------------- | ------------------------------------------------------------- | ------------------------ |
 * | message                             |                                                               | every field, see below   |
 * | echo ...                            |                                                               | content and its type     |
 * | put KEY VALUE, delete KEY           | key-value state                                               | ok                       |
 * | get KEY, list PREFIX                |                                                               | value or none; keys, `,` |
 * | send TO TEXT, draft TO              | sends text; sends a message with everything in it             | ok                       |
 * | emit TOPIC TEXT, log LEVEL TEXT     |                                                               | ok                       |
 * | timer ID MS TEXT, cancel ID         | a timer that is due puts its text into state `timer-ID`       | ok                       |
 * | ask TO MS TEXT                      | stays open                                                    | reply TEXT, or failure CODE TEXT |
 * | both ONE OTHER                      | asks both, stays open until both replied                      | both replies in the order of asking |
 * | wait ID MS                          | sets a timer and stays open until it is due                   | timer ID                 |
 * | now, random, self                   | random is multiplied by 2 ** 32 and cut                       |                          |
 * | config NAME, flag NAME              |                                                               | value or none; true or false |
 * | count N                             | adds to a number in memory                                    | the number               |
 * | count-fail N                        | adds, then fails                                              |                          |
 * | fail TEXT, trap, twice, outside CALL | fails in words; traps; replies twice; points outside memory  |                          |
 *
 * Its state for another version is the number of `count`, as 8 bytes. Timers of a script have ids and no content of
 * its author's. A language without pointers answers `unknown` to `outside`.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { CaxtonError } from "../../src/base/errors.ts";
import {
  FLAG_CLIENT,
  FLAG_FAILURE,
  FLAG_REPLY,
  FLAG_TIMER,
  FLAG_WANTS_REPLY,
} from "../../src/actors/wasm/envelope.ts";
import { PROBES, deployProbe } from "./probes.ts";
import { Solo, type Effect, type SoloMessage, type Turn } from "./solo.ts";

const modules = new Map(
  await Promise.all(PROBES.map(async (name) => [name, await deployProbe(name)] as const)),
);

const SPEC = [
  "config: {colour: blue, empty: '', long: " + "c".repeat(3000) + "}",
  "flags: {on: true, off: false}",
  "limits: {stateBytesMax: 300000, timersMax: 3, asksPendingMax: 3}",
].join(", ");

/** Whose author has promises instead of numbers, and no pointers. */
const SCRIPTS: ReadonlySet<string> = new Set(["probe-typescript"]);

describe.each(PROBES)("%s", (name) => {
  const isScript = SCRIPTS.has(name);
  let probe: Solo;
  beforeEach(() => {
    probe = new Solo(modules.get(name)!, { spec: SPEC });
  });

  const asked = (content: string | Uint8Array, more: SoloMessage = {}): Turn =>
    probe.deliver({ content, flags: FLAG_WANTS_REPLY, correlation: 7n, ...more });
  const ask = (content: string): string => replyOf(asked(content));
  const effectsOf = (content: string): readonly Effect[] => probe.deliver({ content }).effects;
  const failureOf = (content: string): { code: string; message: string } => {
    try {
      asked(content);
    } catch (error) {
      if (error instanceof CaxtonError) return { code: error.code, message: error.message };
      return { code: "AGENT_TRAPPED", message: String(error) };
    }
    throw new Error(`"${content}" did not fail`);
  };

  describe("a message", () => {
    test("arrives field by field", () => {
      const described = replyOf(
        asked("message", {
          id: "the-id",
          sender: "somebody",
          flags: FLAG_WANTS_REPLY | FLAG_CLIENT,
          performative: "own-performative",
          contentType: "application/x-own",
          conversationId: "conversation",
          replyWith: "with",
          inReplyTo: "to",
          ontology: "ontology",
          language: "language",
          protocol: "protocol",
          headers: { ab: "long", a: "short" },
        }),
      );
      expect(described).toBe(
        "the-id|somebody|default/solo/one|own-performative|application/x-own|conversation|with|to|0|" +
          "ontology|language|protocol|short|long|true|7",
      );
    });

    test("without the optional fields has none of them", () => {
      expect(ask("message")).toBe(
        "id-1|default/other/two|default/solo/one|inform|text/plain||||0||||none|none|false|7",
      );
    });

    test.each(["application/octet-stream", "application/json", "text/plain", "image/x-own"])(
      "of type %s comes back byte for byte",
      (contentType) => {
        const content = Buffer.from(Array.from({ length: 300 }, (_, i) => i % 256));
        content.write("echo ");
        const { effects } = asked(content, { contentType });
        expect(effects).toMatchObject([{ kind: "reply", message: { contentType } }]);
        expect(contentOf(effects[0]).equals(content)).toBe(true);
      },
    );

    test.each([5, 1023, 1024, 1025, 65_536, 250_000])("of %i bytes comes back whole", (bytes) => {
      const content = Buffer.alloc(bytes, "echo xyz");
      expect(contentOf(asked(content).effects[0]).equals(content)).toBe(true);
    });

    test("may be empty", () => {
      expect(ask("")).toBe("unknown");
    });

    test("leaves no reply when nobody waits for one", () => {
      expect(effectsOf("self")).toEqual([]);
    });
  });

  describe("send", () => {
    test("text", () => {
      expect(effectsOf("send default/other/x hello you")).toMatchObject([
        {
          kind: "send",
          message: {
            sender: "default/solo/one",
            receiver: "default/other/x",
            performative: "inform",
            contentType: "text/plain",
            headers: {},
          },
        },
      ]);
      expect(contentOf(effectsOf("send default/other/x hello you")[0]).toString()).toBe(
        "hello you",
      );
    });

    test("everything a message can have", () => {
      const effects = effectsOf("draft default/other/~20");
      expect(effects).toMatchObject([
        {
          kind: "send",
          message: {
            receiver: "default/other/~20",
            performative: "own-performative",
            contentType: "application/x-own",
            conversationId: "c",
            replyWith: "rw",
            ...(isScript ? {} : { inReplyTo: "irt", replyByMs: 1_234_567_890_123 }),
            ontology: "o",
            language: "l",
            protocol: "p",
            headers: { a: "1", b: "2" },
          },
        },
      ]);
      expect(contentOf(effects[0]).toString()).toBe('{"k":"ü€😀"}');
    });

    test("plainly after that keeps nothing of it", () => {
      effectsOf("draft default/other/x");
      const [sent] = effectsOf("send default/other/y a");
      expect(sent).toMatchObject({
        kind: "send",
        message: { headers: {}, contentType: "text/plain" },
      });
      expect(Object.keys((sent as { message: object }).message)).not.toContain("conversationId");
    });

    test("nothing", () => {
      expect(contentOf(effectsOf("send default/other/x")[0])).toHaveLength(0);
    });

    test.each(["nobody", "default/other", "default/Other/x", "x".repeat(2000)])(
      "to %.20s is refused",
      (to) => {
        expect(failureOf(`send ${to} hello`).code).toBe("INVALID_ADDRESS");
      },
    );

    test("more than a message may hold is refused", () => {
      const most = 256 * 1024;
      const draft = "default/other/x".length + 16;
      const fits = "x".repeat(most - draft);
      expect(contentOf(effectsOf(`send default/other/x ${fits}`)[0])).toHaveLength(fits.length);
      expect(failureOf(`send default/other/x ${fits}x`).code).toBe("MESSAGE_TOO_LARGE");
    });
  });

  describe("state", () => {
    test("is put, got, replaced and deleted", () => {
      expect(ask("get a")).toBe("none");
      expect(ask("put a first")).toBe("ok");
      expect(ask("get a")).toBe("first");
      ask("put a second");
      expect(ask("get a")).toBe("second");
      expect(asked("delete a").effects[0]).toEqual({ kind: "delete", key: Buffer.from("a") });
      expect(ask("get a")).toBe("none");
    });

    test("holds empty values and deletes what is not there", () => {
      expect(ask("put empty ")).toBe("ok");
      expect(ask("get empty")).toBe("");
      expect(ask("delete missing")).toBe("ok");
    });

    test.each([64, 65, 1024, 1025, 100_000])("holds a value of %i bytes", (bytes) => {
      const value = "v".repeat(bytes);
      ask(`put key ${value}`);
      expect(ask("get key")).toBe(value);
    });

    test("has keys of 1 to 1,024 bytes", () => {
      const longest = "k".repeat(1024);
      ask(`put ${longest} v`);
      expect(ask(`get ${longest}`)).toBe("v");
      expect(failureOf(`put ${longest}k v`).code).toBe("HOST_CALL_INVALID");
      expect(failureOf("put  v").code).toBe("HOST_CALL_INVALID");
      expect(failureOf("get ").code).toBe("HOST_CALL_INVALID");
      expect(failureOf("delete ").code).toBe("HOST_CALL_INVALID");
    });

    test("is listed by prefix in the order of bytes", () => {
      expect(ask("list ")).toBe("");
      for (const key of ["b", "a:2", "a:10", "ä", "a"]) ask(`put ${key} v`);
      expect(ask("list ")).toBe("a,a:10,a:2,b,ä");
      expect(ask("list a:")).toBe("a:10,a:2");
      expect(ask("list c")).toBe("");
    });

    test("is listed however much that is", () => {
      const keys = Array.from({ length: 300 }, (_, i) => `key-${1000 + i}`);
      for (const key of keys) ask(`put ${key} v`);
      expect(ask("list key-")).toBe(keys.join(","));
    });

    test("has a limit", () => {
      ask(`put a ${"v".repeat(200_000)}`);
      expect(failureOf(`put b ${"v".repeat(100_000)}`).code).toBe("STATE_TOO_LARGE");
      expect(ask(`put a ${"v".repeat(250_000)}`)).toBe("ok");
    });
  });

  describe("an ask", () => {
    test("leaves the handler open and comes back as the reply", () => {
      const turn = asked("ask default/other/x 500 hello you");
      expect(turn.isOpen).toBe(true);
      const [effect] = turn.effects;
      expect(effect).toMatchObject({
        kind: "ask",
        timeoutMs: 500,
        message: { receiver: "default/other/x", performative: "request" },
      });
      const answer = probe.deliver({
        content: "fine",
        flags: FLAG_REPLY,
        correlation: numberOf(effect),
      });
      expect(answer.isOpen).toBe(false);
      expect(replyOf(answer)).toBe("reply fine");
    });

    test("of 0 ms waits half a minute", () => {
      expect(asked("ask default/other/x 0 hello").effects[0]).toMatchObject({ timeoutMs: 30_000 });
    });

    test("that fails says so", () => {
      const [effect] = asked("ask default/other/x 500 hello").effects;
      const failed = probe.deliver({
        content: "too late",
        flags: FLAG_FAILURE,
        correlation: numberOf(effect),
        errorCode: "ASK_TIMEOUT",
      });
      expect(replyOf(failed)).toBe("failure ASK_TIMEOUT too late");
    });

    test.each([
      [0, 1],
      [1, 0],
    ])("beside another is told from it (%i before %i)", (first, second) => {
      const turn = asked("both default/other/x default/other/y");
      const numbers = turn.effects.map(numberOf);
      expect(new Set(numbers).size).toBe(2);
      const texts = ["one", "two"];
      const answer = (i: number): Turn =>
        probe.deliver({ content: texts[i]!, flags: FLAG_REPLY, correlation: numbers[i]! });
      expect(answer(first)).toMatchObject({ isOpen: true, effects: [] });
      const last = answer(second);
      expect(last.isOpen).toBe(false);
      expect(replyOf(last)).toBe("one two");
    });

    test("to no address is refused", () => {
      expect(failureOf("ask nobody 0 hello").code).toBe("INVALID_ADDRESS");
    });
  });

  describe("a timer", () => {
    const timerOf = ({ effects }: Turn): Extract<Effect, { kind: "timer" }> => {
      const [timer] = effects;
      if (timer?.kind !== "timer") throw new Error("no timer was set");
      return timer;
    };
    const fire = ({ id, content }: Extract<Effect, { kind: "timer" }>): Turn =>
      probe.deliver({ content, flags: FLAG_TIMER, correlation: id });

    test("is set and cancelled", () => {
      const { id, delayMs, content } = timerOf(probe.deliver({ content: "timer 7 250 wake up" }));
      expect(delayMs).toBe(250);
      if (!isScript) expect([id, content.toString()]).toEqual([7n, "wake up"]);
      expect(effectsOf("cancel 7")).toEqual([{ kind: "cancel", id }]);
    });

    test("of the greatest id and delay, with nothing in it", () => {
      const content = "timer 9223372036854775807 2147483647 ";
      const timer = timerOf(probe.deliver({ content }));
      expect(timer).toMatchObject({ delayMs: 2_147_483_647, content: Buffer.alloc(0) });
      if (!isScript) expect(timer.id).toBe(9_223_372_036_854_775_807n);
    });

    test("that is due comes with its id and content", () => {
      fire(timerOf(probe.deliver({ content: "timer 7 250 wake up" })));
      expect(ask("get timer-7")).toBe("wake up");
    });

    test("is what an open handler may wait for", () => {
      const turn = asked("wait 9 100");
      expect(turn.isOpen).toBe(true);
      const timer = timerOf(turn);
      expect(timer.delayMs).toBe(100);
      expect(replyOf(fire(timer))).toBe("timer 9");
    });
  });

  describe("what an actor knows", () => {
    test("time is the turn's", () => {
      probe.nowMs = 1_800_000_000_001;
      expect(ask("now")).toBe("1800000000001");
    });

    test("chance is the seed's", () => {
      const first = ask("random");
      expect(Number(first)).toBeLessThan(2 ** 32);
      expect(ask("random")).toBe(first);
      probe.seed++;
      expect(ask("random")).not.toBe(first);
    });

    test("configuration", () => {
      expect(ask("config colour")).toBe("blue");
      expect(ask("config empty")).toBe("");
      expect(ask("config long")).toBe("c".repeat(3000));
      expect(ask("config none-such")).toBe("none");
      expect(ask("config constructor")).toBe("none");
    });

    test("flags", () => {
      expect([ask("flag on"), ask("flag off"), ask("flag none-such")]).toEqual([
        "true",
        "false",
        "false",
      ]);
    });

    test("its address, however long", () => {
      const address = `default/solo/${"~E2~82~AC".repeat(40)}`;
      probe = new Solo(modules.get(name)!, { address });
      expect(ask("self")).toBe(address);
    });
  });

  describe("for another version", () => {
    test("gives its state, from which a fresh one goes on", () => {
      ask("count 41");
      const state = probe.exportState();
      if (!isScript) expect(state).toEqual(Buffer.from([41, 0, 0, 0, 0, 0, 0, 0]));
      expect(ask("count 0")).toBe("41");
      probe = new Solo(modules.get(name)!);
      expect(probe.importState(state)).toBe(true);
      expect(ask("count 1")).toBe("42");
    });

    test("refuses what is no state of its own", () => {
      expect(probe.importState(Buffer.from("no such state"))).toBe(false);
      expect(probe.importState(Buffer.alloc(0))).toBe(false);
    });
  });

  describe("what it says to people", () => {
    test("events", () => {
      expect(effectsOf("emit topic a b")).toEqual([
        { kind: "emit", key: Buffer.from("topic"), value: Buffer.from("a b") },
      ]);
      expect(effectsOf("emit topic ")).toMatchObject([{ value: Buffer.alloc(0) }]);
      expect(failureOf("emit  a").code).toBe("HOST_CALL_INVALID");
      expect(failureOf(`emit ${"t".repeat(1025)} a`).code).toBe("HOST_CALL_INVALID");
    });

    test("log lines, cut when they are long", () => {
      const lines = [0, 1, 2, 3].flatMap((level) => {
        return probe.deliver({ content: `log ${level} büro` }).logs;
      });
      expect(lines).toEqual([0, 1, 2, 3].map((level) => [level, "büro"]));
      const { logs } = probe.deliver({ content: `log 1 ${"x".repeat(10_000)}` });
      expect(logs).toEqual([[1, "x".repeat(8192)]]);
    });
  });

  describe("a turn that fails", () => {
    test("does so in its own words", () => {
      const failure = failureOf("fail no more");
      expect(failure.code).toBe("AGENT_FAILED");
      expect(failure.message).toContain("no more");
    });

    test("traps", () => {
      expect(["AGENT_TRAPPED", "AGENT_FAILED"]).toContain(failureOf("trap").code);
    });

    test("leaves memory as it was", () => {
      expect(ask("count 2")).toBe("2");
      expect(failureOf("count-fail 5").message).toContain("counted");
      expect(ask("count 3")).toBe("5");
    });

    test("has replied twice", () => {
      expect(failureOf("twice").code).toBe("HOST_CALL_INVALID");
    });

    test.each(["send", "reply", "get", "put", "list", "emit", "log", "timer", "config", "flag"])(
      "points %s outside memory",
      (call) => {
        if (isScript) expect(ask(`outside ${call}`)).toBe("unknown");
        else expect(failureOf(`outside ${call}`).code).toBe("HOST_CALL_INVALID");
      },
    );
  });
});

function contentOf(effect: Effect | undefined): Buffer {
  if (effect === undefined || !("message" in effect)) throw new Error("no message was sent");
  return Buffer.from(effect.message.content);
}

function replyOf({ effects }: Turn): string {
  const replies = effects.filter(({ kind }) => kind === "reply");
  if (replies.length !== 1) throw new Error(`${replies.length} replies`);
  return contentOf(replies[0]).toString();
}

function numberOf(effect: Effect | undefined): bigint {
  if (effect?.kind !== "ask") throw new Error("nothing was asked");
  return effect.number;
}
