/** The bare gRPC server (bench/echo) in a process of its own, on the server's core. */
import { Client, credentials } from "@grpc/grpc-js";
import { join } from "node:path";
import { ECHO_PATH, ECHO_SERVICE } from "../echo/service.ts";
import { withChild } from "./child.ts";

const MAIN = join(import.meta.dirname, "../echo/main.ts");

/** Runs `work` with a function that makes one call. */
export async function withEcho<T>(
  work: (call: (content: Buffer) => Promise<void>) => Promise<T>,
): Promise<T> {
  return withChild([MAIN], async ({ ready: port }) => {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const { requestSerialize, responseDeserialize } = ECHO_SERVICE.echo;
    const call = (content: Buffer): Promise<void> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          ECHO_PATH,
          requestSerialize,
          responseDeserialize,
          content,
          (error) => {
            if (error === null) resolve();
            else reject(error);
          },
        );
      });
    try {
      return await work(call);
    } finally {
      client.close();
    }
  });
}
