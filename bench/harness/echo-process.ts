/** The bare gRPC server (bench/echo) in a process of its own, on the server's core. */
import { Client, credentials } from "@grpc/grpc-js";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ECHO_PATH, ECHO_SERVICE } from "../echo/service.ts";
import { onServerCore } from "./pinning.ts";

const MAIN = join(import.meta.dirname, "../echo/main.ts");

/** Runs `work` with a function that makes one call. */
export async function withEcho<T>(
  work: (call: (content: Buffer) => Promise<void>) => Promise<T>,
): Promise<T> {
  const [command, ...args] = onServerCore([process.execPath, "--no-warnings", MAIN]);
  const child = spawn(command!, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  try {
    const [port] = (await once(createInterface(child.stdout), "line")) as [string];
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
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
