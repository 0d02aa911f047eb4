import type { StateChange as KernelStateChange } from "../../actors/index.ts";
import type {
  GetStateRequest,
  ListStateChangesRequest,
  ListStateRequest,
  StateChange,
  StateServiceService,
} from "../../gen/caxton/v1/state.ts";
import type { ApiContext } from "../request.ts";
import type { Methods } from "./method.ts";
import { checkRequired, pageRequest } from "./validate.ts";

export function stateService(api: ApiContext): Methods<StateServiceService> {
  const { kernel } = api;
  return {
    getState: async ({ address, key }: GetStateRequest) => {
      checkRequired("address", address);
      return { entry: await kernel.actors.getState(address, key) };
    },
    listState: async (request: ListStateRequest) => {
      checkRequired("address", request.address);
      const page = await kernel.actors.listState(
        request.address,
        request.prefix,
        pageRequest(request),
      );
      return { entries: [...page.items], nextPageToken: page.nextPageToken ?? "" };
    },
    listStateChanges: async (request: ListStateChangesRequest) => {
      checkRequired("address", request.address);
      const { items, nextPageToken } = await kernel.history.stateChanges(
        request.address,
        request.prefix,
        pageRequest(request),
      );
      return { changes: items.map(encodeChange), nextPageToken: nextPageToken ?? "" };
    },
  };
}

function encodeChange({ value, ...change }: KernelStateChange): StateChange {
  return { ...change, value: value ?? new Uint8Array(0), deleted: value === undefined };
}
