/** The protocol files as the compiler left them: a google.protobuf.FileDescriptorSet. */
import { readFileSync } from "node:fs";

export function readDescriptors(): Buffer {
  return readFileSync(new URL("../gen/descriptors.binpb", import.meta.url));
}
