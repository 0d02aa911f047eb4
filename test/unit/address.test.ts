import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  SLOTS,
  escapeKey,
  formatAddress,
  hashAddress,
  hashAddressText,
  parseAddress,
  partitionOf,
  slotOf,
} from "../../src/actors/address.ts";

/** FNV-1a over the tokens without separators, written apart from the code under test. */
function reference(address: string): number {
  let hash = 2166136261n;
  for (const byte of Buffer.from(address.replaceAll("/", ""))) {
    hash = ((hash ^ BigInt(byte)) * 16777619n) & 0xffffffffn;
  }
  return Number(hash);
}

describe("addresses", () => {
  test("golden vectors: these never change, or every actor moves", () => {
    const vectors: [string, number, number, number][] = [
      ["default/counter/the", 1562770645, 3285, 5],
      ["default/echo/a", 1240062074, 2170, 10],
      ["shop/cart/~F0~9F~9B~92", 597260128, 1888, 0],
    ];
    for (const [address, hash, slot, partition] of vectors) {
      expect([address, hashAddressText(address)]).toEqual([address, hash]);
      expect(slotOf(hash)).toBe(slot);
      expect(partitionOf(hash, 16)).toBe(partition);
    }
  });

  test("the hash is FNV-1a over the escaped tokens, and slots map to partitions by a mask", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }), (key) => {
        const address = formatAddress({ namespace: "ns-1", agent: "agent", key });
        const hash = hashAddressText(address);
        expect(hash).toBe(reference(address));
        for (const partitions of [1, 16, 4096]) {
          expect(partitionOf(hash, partitions)).toBe((hash % SLOTS) % partitions);
        }
      }),
    );
  });

  test("any key survives escaping, and the escaped form is safe in paths and subjects", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }), (key) => {
        fc.pre(Buffer.byteLength(key) <= 256);
        expect(escapeKey(key)).toMatch(/^[A-Za-z0-9_~-]+$/);
        const text = formatAddress({ namespace: "a", agent: "b", key });
        expect(parseAddress(text)).toEqual({ namespace: "a", agent: "b", key });
      }),
    );
  });

  test.each([
    ["", /namespace/],
    ["default", /agent name/],
    ["Default/counter/a", /namespace "Default"/],
    ["default/coun_ter/a", /agent name "coun_ter"/],
    ["default/counter/", /key is empty/],
    [`default/counter/${"x".repeat(257)}`, /257 bytes, the maximum is 256/],
    ["default/counter/~G1", /two upper-case hex digits/],
    ["default/counter/~FF", /not UTF-8/],
  ])("%s is refused", (text, why) => {
    expect(() => parseAddress(text)).toThrow(why);
  });

  test("a key left out is `default`", () => {
    expect(parseAddress("default/counter")).toMatchObject({ key: "default" });
  });

  test("bytes that are no escaped address have no hash", () => {
    for (const text of [
      "a/b",
      "a/b/c/d",
      "a//c",
      "A/b/c",
      "a/b/c d",
      "a/b/",
      `a/b/${"x".repeat(900)}`,
      `a/b/${"x".repeat(257)}`,
      `a/b/${"~20".repeat(257)}`,
      "a/b/~2",
      "a/b/~2f",
      "a/b/~ZZ",
      "a/b/~41",
      "a/b/~FF",
    ]) {
      const bytes = Buffer.from(text);
      expect([text, hashAddress(bytes, 0, bytes.length)]).toEqual([text, -1]);
    }
  });
});
