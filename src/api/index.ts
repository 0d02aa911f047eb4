/** The door of this room: the listeners through which the world reaches a node. */
export type { ApiContext } from "./request.ts";
export { startGrpc } from "./grpc/server.ts";
export { startHttp } from "./http/server.ts";
export { ApiMetrics } from "./metrics.ts";
export { ReadinessProbe } from "./readiness.ts";
export { apiServices } from "./service/services.ts";
export { startRest } from "./rest/server.ts";
export { EVENT_FOLLOWER, startNatsDoor } from "./nats/door.ts";
