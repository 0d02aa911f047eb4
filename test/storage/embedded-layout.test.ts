/** The bytes on disk, pinned: a change here is a new format version. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { crc32 } from "node:zlib";
import {
  alignCommit,
  commitHeadBytes,
  type CommitRecord,
  encodeCommitHead,
} from "../../src/storage/embedded/commit-codec.ts";
import { encodeSegmentHeader } from "../../src/storage/embedded/segment-file.ts";
import { collect, openSmall, SMALL_SEGMENT_BYTES, temporaryDirectory } from "./support.ts";

const GOLDEN = join(import.meta.dirname, "golden/segment-v1.hex");
const NONCE = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);

interface Frame {
  readonly partition: number;
  readonly sequence: number;
  readonly carried?: boolean;
  readonly text: string;
}

const COMMITS: readonly (readonly Frame[])[] = [
  [
    { partition: 0, sequence: 1, text: "first" },
    { partition: 4_000_000_000, sequence: 1, text: "" },
  ],
  [
    { partition: 0, sequence: 2, text: "second ".repeat(80) },
    { partition: 0, sequence: 1, carried: true, text: "first" },
  ],
];

function encodeSegment(): Buffer {
  const parts: Uint8Array[] = [
    encodeSegmentHeader({ number: 1, bytes: SMALL_SEGMENT_BYTES, nonce: NONCE }),
  ];
  let previousCrc = 0;
  for (const [i, frames] of COMMITS.entries()) {
    const contents = frames.map(({ text }) => Buffer.from(text));
    const records: CommitRecord[] = frames.map(({ partition, sequence, carried = false }, at) => {
      const content = contents[at]!;
      return { partition, sequence, carried, length: content.length, crc: crc32(content) };
    });
    const head = Buffer.alloc(commitHeadBytes(records.length));
    const bytes = head.length + contents.reduce((sum, content) => sum + content.length, 0);
    previousCrc = encodeCommitHead(head, NONCE, { number: i + 1, previousCrc, bytes, records });
    parts.push(head, ...contents, Buffer.alloc(alignCommit(bytes) - bytes));
  }
  return Buffer.concat(parts);
}

/** 32 bytes a line. */
function toHex(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 32) {
    lines.push(bytes.subarray(at, at + 32).toString("hex"));
  }
  return `${lines.join("\n")}\n`;
}

test("a segment has the golden bytes", async () => {
  expect(toHex(encodeSegment())).toBe(await readFile(GOLDEN, "utf8"));
});

test("the golden bytes are read as what was written", async () => {
  const directory = await temporaryDirectory();
  await (await openSmall(directory)).close();
  const hex = (await readFile(GOLDEN, "utf8")).replaceAll("\n", "");
  const segment = Buffer.alloc(SMALL_SEGMENT_BYTES);
  segment.set(Buffer.from(hex, "hex"));
  await writeFile(join(directory, "log/0000000001.segment"), segment);
  const crc = segment
    .readUInt32LE(1_024 + 4)
    .toString(16)
    .padStart(8, "0");
  await writeFile(join(directory, "CLEAN"), `commit 2 crc ${crc}\n`);
  const { log, opening } = await openSmall(directory);
  expect(opening).toEqual({ clean: true, created: false, tornBytesCut: 0 });
  const texts = (await collect(log.scan(0, 1))).map(({ frame }) => Buffer.from(frame).toString());
  expect(texts).toEqual(["first", "second ".repeat(80)]);
  expect(await log.lastSequence(4_000_000_000)).toBe(1);
  expect(await log.readRanges(0, [{ sequence: 2, offset: 7, length: 6 }])).toEqual([
    new Uint8Array(Buffer.from("second")),
  ]);
});
