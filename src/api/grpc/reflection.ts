/** Server reflection, so that grpcurl and the like need no proto files. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { readDescriptors } from "../descriptors.ts";

/** In google.protobuf.FileDescriptorSet. */
const FILE_FIELD = 1;

export function addReflection(server: Server): void {
  const fileDescriptorProtos = splitFiles(readDescriptors());
  type Definition = ConstructorParameters<typeof ReflectionService>[0];
  // The service reads only the encoded files of each entry.
  const definition = { caxton: { fileDescriptorProtos } } as unknown as Definition;
  new ReflectionService(definition).addToServer(server);
}

function splitFiles(descriptorSet: Uint8Array): Buffer[] {
  const reader = new BinaryReader(descriptorSet);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === FILE_FIELD) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType, field);
  }
  return files;
}
