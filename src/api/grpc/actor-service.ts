import type { ActorInfo } from "../../actors/index.ts";
import {
  type Actor,
  ActorStatus,
  type ActorServiceServer,
  type ListActorsRequest,
} from "../../gen/caxton/v1/actor.ts";
import { type CallContext, unary } from "./call.ts";
import { decodeActorStatus, encodeActor } from "./encode.ts";
import { checkAgentFilter, checkRequired, pageRequest, refuse } from "./validate.ts";

export function actorService(api: CallContext): ActorServiceServer {
  const { kernel } = api;
  const oneActor = (method: string, run: (address: string) => Promise<ActorInfo>) =>
    unary(api, method, async ({ address }: { address: string }): Promise<{ actor: Actor }> => {
      checkRequired("address", address);
      return { actor: encodeActor(await run(address)) };
    });
  return {
    listActors: unary(api, "ListActors", async (request: ListActorsRequest) => {
      checkAgentFilter(request);
      const page = await kernel.actors.list(actorFilter(request), pageRequest(request));
      return { actors: page.items.map(encodeActor), nextPageToken: page.nextPageToken ?? "" };
    }),
    getActor: oneActor("GetActor", (address) => kernel.actors.get(address)),
    releaseActor: oneActor("ReleaseActor", (address) => kernel.actors.release(address)),
    resetActor: oneActor("ResetActor", (address) => kernel.actors.reset(address)),
  };
}

function actorFilter(request: ListActorsRequest) {
  const status = decodeActorStatus(request.status);
  if (status === undefined && request.status !== ActorStatus.UNSPECIFIED) {
    refuse([{ at: "status", message: "is not known to this server" }]);
  }
  return {
    ...(request.namespace === "" ? {} : { namespace: request.namespace }),
    ...(request.agent === "" ? {} : { agent: request.agent }),
    ...(status === undefined ? {} : { status }),
  };
}
