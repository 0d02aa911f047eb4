/** The bare gRPC server: what a call costs when nothing is done. Prints its port. */
import { Server, ServerCredentials, type handleUnaryCall } from "@grpc/grpc-js";
import { ECHO_SERVICE } from "./service.ts";

const echo: handleUnaryCall<Buffer, Buffer> = (call, done) => {
  done(null, call.request);
};

const server = new Server();
server.addService(ECHO_SERVICE, { echo });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${port}\n`);
});
