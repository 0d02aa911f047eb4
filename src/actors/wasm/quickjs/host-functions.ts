/** The host as a program calls it: the host calls of module `caxton` with QuickJS values. */
import type { CaxtonImports } from "../host-calls.ts";
import type { TurnContext } from "../turn-context.ts";
import type { HostFunctionName } from "./host-function-names.ts";
import type { QuickJsGuest } from "./quickjs-guest.ts";

/** Takes the addresses of the arguments' boxes, gives that of the result's; undefined stands for itself. */
export type HostFunction = (guest: QuickJsGuest, args: readonly number[]) => number | undefined;

type HostFunctions = Readonly<Record<HostFunctionName, HostFunction>>;

export function hostFunctions(turn: TurnContext, caxton: CaxtonImports): HostFunctions {
  return {
    ...messageFunctions(caxton),
    ...stateFunctions(caxton),
    ...surroundings(turn, caxton),
    encode: (guest, [text]) =>
      withText(guest, text!, (at, length) => guest.calls.qjs_new_uint8_array(at, length)),
    decode: (guest, [utf8]) => {
      const { at, length } = guest.rangeOf(utf8!);
      // QuickJS would take what is no UTF-8 for something else than the rest of the world.
      const text = guest.bytes().toString("utf8", at, at + length);
      return guest.stringValue(Buffer.from(text));
    },
    fail: (guest, [error]) => guest.failWith(error!),
    serve: (guest, functions) => {
      guest.serve(functions);
      return undefined;
    },
  };
}

function messageFunctions(caxton: CaxtonImports) {
  return {
    send: (guest, args) =>
      withDraft(guest, args, (at, length) => {
        caxton.send(at, length);
        return undefined;
      }),
    ask: (guest, args) =>
      withDraft(guest, args, (at, length) => {
        const number = caxton.ask(at, length, guest.numberOf(args[4]!));
        return guest.calls.qjs_new_number(Number(number));
      }),
    reply: (guest, args) =>
      withDraft(guest, args, (at, length) => {
        caxton.reply(at, length);
        return undefined;
      }),
    emit: (guest, [topic, content]) =>
      withText(guest, topic!, (at, length) => {
        const body = guest.rangeOf(content!);
        caxton.emit(at, length, body.at, body.length);
        return undefined;
      }),
    timerSet: (guest, [id, delayMs]) => {
      caxton.timer_set(BigInt(guest.numberOf(id!)), guest.numberOf(delayMs!), 0, 0);
      return undefined;
    },
    timerCancel: (guest, [id]) => {
      caxton.timer_cancel(BigInt(guest.numberOf(id!)));
      return undefined;
    },
  } satisfies Partial<HostFunctions>;
}

function stateFunctions(caxton: CaxtonImports) {
  return {
    stateGet: (guest, [key]) =>
      withText(guest, key!, (at, length) =>
        answer(guest, "bytes", (buf, bytes) => caxton.state_get(at, length, buf, bytes)),
      ),
    statePut: (guest, [key, value]) =>
      withText(guest, key!, (at, length) => {
        const content = guest.rangeOf(value!);
        caxton.state_put(at, length, content.at, content.length);
        return undefined;
      }),
    stateDelete: (guest, [key]) =>
      withText(guest, key!, (at, length) => {
        caxton.state_delete(at, length);
        return undefined;
      }),
    stateList: (guest, [prefix]) =>
      withText(guest, prefix!, (at, length) =>
        answer(guest, "bytes", (buf, bytes) => caxton.state_list(at, length, buf, bytes)),
      ),
  } satisfies Partial<HostFunctions>;
}

function surroundings(turn: TurnContext, caxton: CaxtonImports) {
  return {
    log: (guest, [level, text]) =>
      withText(guest, text!, (at, length) => {
        caxton.log(guest.numberOf(level!), at, length);
        return undefined;
      }),
    now: (guest) => guest.calls.qjs_new_number(caxton.now()),
    random: (guest) => guest.calls.qjs_new_number(caxton.random()),
    config: (guest, [name]) =>
      withText(guest, name!, (at, length) =>
        answer(guest, "string", (buf, bytes) => caxton.config_get(at, length, buf, bytes)),
      ),
    flag: (guest, [name]) =>
      withText(guest, name!, (at, length) =>
        guest.calls.qjs_new_number(caxton.flag_get(at, length)),
      ),
    self: (guest) => {
      turn.requireMessage("self");
      return guest.stringValue(turn.actor.addressBytes);
    },
  } satisfies Partial<HostFunctions>;
}

const DRAFT_HEADER_BYTES = 16;
const CODES_BYTES = 2;
const CONTENT_IS_BYTES = 1 << 16;

/** Puts a draft of docs/agent-abi.md together: receiver, codes, content, extensions. */
function withDraft(
  guest: QuickJsGuest,
  [to, codesValue, content, extensions]: readonly number[],
  use: (at: number, length: number) => number | undefined,
): number | undefined {
  const { calls } = guest;
  const codes = guest.numberOf(codesValue!);
  const hasExtensions = calls.qjs_is_undefined(extensions!) === 0;
  const added = hasExtensions ? guest.rangeOf(extensions!) : { at: 0, length: 0 };
  const compose = (body: number, bodyBytes: number): number | undefined =>
    withText(guest, to!, (receiver, receiverBytes) => {
      const length = DRAFT_HEADER_BYTES + receiverBytes + added.length + bodyBytes;
      const draft = guest.allocate(length);
      const memory = guest.bytes();
      memory.writeUInt16LE(0, draft);
      memory.writeUInt16LE(codes & 0xffff, draft + CODES_BYTES);
      memory.writeUInt32LE(receiverBytes, draft + 4);
      memory.writeUInt32LE(added.length, draft + 8);
      memory.writeUInt32LE(bodyBytes, draft + 12);
      let at = draft + DRAFT_HEADER_BYTES;
      for (const [from, bytes] of [
        [receiver, receiverBytes],
        [added.at, added.length],
        [body, bodyBytes],
      ] as const) {
        memory.copyWithin(at, from, from + bytes);
        at += bytes;
      }
      const result = use(draft, length);
      calls.wasm_free(draft);
      return result;
    });
  if ((codes & CONTENT_IS_BYTES) === 0) return withText(guest, content!, compose);
  const body = guest.rangeOf(content!);
  return compose(body.at, body.length);
}

/** Gives a value's text to `use` and frees it. */
function withText(
  guest: QuickJsGuest,
  value: number,
  use: (at: number, length: number) => number | undefined,
): number | undefined {
  const { at, length } = guest.utf8Of(value);
  if (at === 0) guest.failWith(guest.calls.qjs_get_exception());
  const result = use(at, length);
  guest.calls.qjs_free_cstring(at);
  return result;
}

/** A host call that fills a buffer when its answer fits, as a value; undefined when it has no answer. */
function answer(
  guest: QuickJsGuest,
  kind: "bytes" | "string",
  call: (buf: number, bytes: number) => number,
): number | undefined {
  const length = call(0, 0);
  if (length < 0) return undefined;
  const buf = guest.allocate(length || 1);
  call(buf, length);
  const { calls } = guest;
  const make = kind === "bytes" ? calls.qjs_new_uint8_array : calls.qjs_new_string;
  const value = make(buf, length);
  calls.wasm_free(buf);
  return value;
}
