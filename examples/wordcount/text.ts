/**
 * What a word is: bytes are read as UTF-8 with replacement characters, the whole text is lower-cased, and
 * a word is a run of a to z.
 */

const CHUNKS = 100;
const CHUNK_BYTES_MIN = 8;
const CHUNK_BYTES_MAX = 64 * 1024;
/** One message carries a chunk, and a word is not cut. */
const WORD_BYTES_MAX = 200 * 1024;

/** The words of a text with one space between them: ASCII, so that characters are bytes. */
export function wordsOnly(bytes: Uint8Array): string {
  return new TextDecoder()
    .decode(bytes)
    .toLowerCase()
    .replace(/[^a-z]+/g, " ")
    .trim();
}

/** Cuts such text between words into chunks for the splitter: about 100, or as many as it takes. */
export function chunksOf(words: string): string[] {
  const bytes = Math.ceil(words.length / CHUNKS);
  return [...cutChunks(words, Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, bytes)))];
}

export function* cutChunks(words: string, bytesMax = CHUNK_BYTES_MAX): Generator<string> {
  for (let from = 0; from < words.length;) {
    let end = from + bytesMax;
    if (end >= words.length) end = words.length;
    else if (words[end] !== " ") {
      const space = words.lastIndexOf(" ", end);
      const next = words.indexOf(" ", end);
      // A word that is longer than a chunk is a chunk.
      end = space > from ? space : next < 0 ? words.length : next;
    }
    if (end - from > WORD_BYTES_MAX) {
      throw new Error(`a word of ${end - from} letters does not fit into a message`);
    }
    yield words.slice(from, end);
    from = end + 1;
  }
}
