// The host calls of agent ABI v1 as they are (docs/agent-abi.md). Authors use index.ts.

@external("caxton", "send")
export declare function send(draft: usize, bytes: i32): void;
@external("caxton", "ask")
export declare function ask(draft: usize, bytes: i32, timeoutMs: i32): i64;
@external("caxton", "reply")
export declare function reply(draft: usize, bytes: i32): void;
@external("caxton", "fail")
export declare function fail(text: usize, bytes: i32): void;
@external("caxton", "state_get")
export declare function stateGet(key: usize, keyBytes: i32, buffer: usize, bufferBytes: i32): i32;
@external("caxton", "state_put")
export declare function statePut(key: usize, keyBytes: i32, value: usize, valueBytes: i32): void;
@external("caxton", "state_delete")
export declare function stateDelete(key: usize, keyBytes: i32): void;
@external("caxton", "state_list")
export declare function stateList(prefix: usize, prefixBytes: i32, buffer: usize, bufferBytes: i32): i32;
@external("caxton", "emit")
export declare function emit(topic: usize, topicBytes: i32, content: usize, bytes: i32): void;
@external("caxton", "timer_set")
export declare function timerSet(id: i64, delayMs: i32, content: usize, bytes: i32): void;
@external("caxton", "timer_cancel")
export declare function timerCancel(id: i64): void;
@external("caxton", "log")
export declare function log(level: i32, text: usize, bytes: i32): void;
@external("caxton", "now")
export declare function now(): f64;
@external("caxton", "random")
export declare function random(): f64;
@external("caxton", "config_get")
export declare function configGet(key: usize, keyBytes: i32, buffer: usize, bufferBytes: i32): i32;
@external("caxton", "flag_get")
export declare function flagGet(key: usize, keyBytes: i32): i32;
@external("caxton", "self")
export declare function self(buffer: usize, bufferBytes: i32): i32;
