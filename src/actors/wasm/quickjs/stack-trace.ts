/** Places of a bundled program -> places in its author's files. */
import { SourceMap } from "node:module";
import { PROGRAM_FILE } from "./quickjs-guest.ts";

/** The agent's runtime, in the source map's words; of no interest to authors. */
const RUNTIME_SOURCE = /^(\.\/)?caxton:/;
const PLACE = new RegExp(`\\(?${PROGRAM_FILE.replace(".", "\\.")}:(\\d+):(\\d+)\\)?`);

const maps = new Map<string, SourceMap>();
/** A node runs few programs at a time. */
const MAPS_MAX = 32;

export function mapTrace(text: string, sourceMap: string): string {
  const map = parsed(sourceMap);
  const lines = text.split("\n").map((line) => {
    const place = PLACE.exec(line);
    if (place === null) return line;
    const entry = map.findEntry(Number(place[1]) - 1, Number(place[2]) - 1);
    if (!("originalSource" in entry)) return undefined;
    const { originalSource, originalLine, originalColumn } = entry;
    if (RUNTIME_SOURCE.test(originalSource)) return undefined;
    const shown = `(${originalSource}:${originalLine + 1}:${originalColumn + 1})`;
    return line.replace(place[0], shown);
  });
  return lines.filter((line) => line !== undefined).join("\n");
}

function parsed(sourceMap: string): SourceMap {
  let map = maps.get(sourceMap);
  if (map === undefined) {
    if (maps.size >= MAPS_MAX) maps.clear();
    map = new SourceMap(JSON.parse(sourceMap) as ConstructorParameters<typeof SourceMap>[0]);
    maps.set(sourceMap, map);
  }
  return map;
}
