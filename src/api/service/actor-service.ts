import type { ActorInfo } from "../../actors/index.ts";
import {
  type Actor,
  ActorStatus,
  type ActorServiceService,
  type ListActorsRequest,
} from "../../gen/caxton/v1/actor.ts";
import type { ApiContext } from "../request.ts";
import { decodeActorStatus, encodeActor } from "./encode.ts";
import type { Methods } from "./method.ts";
import { checkAgentFilter, checkRequired, pageRequest, refuse } from "./validate.ts";

export function actorService(api: ApiContext): Methods<ActorServiceService> {
  const { kernel } = api;
  const oneActor =
    (run: (address: string) => Promise<ActorInfo>) =>
    async ({ address }: { address: string }): Promise<{ actor: Actor }> => {
      checkRequired("address", address);
      return { actor: encodeActor(await run(address)) };
    };
  return {
    listActors: async (request: ListActorsRequest) => {
      checkAgentFilter(request);
      const page = await kernel.actors.list(actorFilter(request), pageRequest(request));
      return { actors: page.items.map(encodeActor), nextPageToken: page.nextPageToken ?? "" };
    },
    getActor: oneActor((address) => kernel.actors.get(address)),
    releaseActor: oneActor((address) => kernel.actors.release(address)),
    resetActor: oneActor((address) => kernel.actors.reset(address)),
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
