/** What becomes of requests while the servers that hold everything are away. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { CaxtonError } from "../../src/base/errors.ts";
import { StorageAway } from "../../src/storage/storage-away.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched(): { away: StorageAway; told: CaxtonError[] } {
  const away = new StorageAway(5000);
  const told: CaxtonError[] = [];
  away.onLong((refusal) => told.push(refusal));
  return { away, told };
}

test("there: nothing is refused and nothing said", () => {
  const { away } = watched();
  expect([away.reason, away.refusal]).toEqual([undefined, undefined]);
});

test("away for a moment: said, but requests wait", () => {
  const { away, told } = watched();
  away.away("connection");
  vi.advanceTimersByTime(4999);
  expect(away.reason).toBe("nats away for 4 s");
  expect(away.refusal).toBeUndefined();
  away.back("connection");
  vi.advanceTimersByTime(60_000);
  expect([away.reason, away.refusal, told]).toEqual([undefined, undefined, []]);
});

test("away for long: those that wait are told once, new ones are refused", () => {
  const { away, told } = watched();
  away.away("connection");
  vi.advanceTimersByTime(5000);
  expect(told.map(({ code }) => code)).toEqual(["STORAGE_UNAVAILABLE"]);
  vi.advanceTimersByTime(60_000);
  expect(told).toHaveLength(1);
  expect(away.refusal).toMatchObject({ code: "STORAGE_UNAVAILABLE", retryAfterMs: 1000 });
  expect(away.refusal!.message).toContain("away for 65 s");
  away.back("connection");
  expect(away.refusal).toBeUndefined();
});

test("each absence counts anew", () => {
  const { away, told } = watched();
  for (let i = 0; i < 2; i++) {
    away.away("connection");
    vi.advanceTimersByTime(5000);
    away.back("connection");
  }
  expect(told).toHaveLength(2);
});

test("back when nothing says away any more", () => {
  const { away } = watched();
  away.away("connection");
  away.away("log");
  away.back("connection");
  expect(away.reason).toBeDefined();
  away.back("log");
  expect(away.reason).toBeUndefined();
});
