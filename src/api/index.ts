/** The door of this room: the listeners through which the world reaches a node. */
export type { ApiContext } from "./grpc/call.ts";
export { type GrpcListener, startGrpc } from "./grpc/server.ts";
export { type HttpListener, startHttp } from "./http/server.ts";
export { ApiMetrics } from "./metrics.ts";
export { ReadinessProbe } from "./readiness.ts";
