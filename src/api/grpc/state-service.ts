import type {
  GetStateRequest,
  ListStateRequest,
  StateServiceServer,
} from "../../gen/caxton/v1/state.ts";
import { type CallContext, unary } from "./call.ts";
import { checkRequired, pageRequest } from "./validate.ts";

export function stateService(api: CallContext): StateServiceServer {
  const { kernel } = api;
  return {
    getState: unary(api, "GetState", async ({ address, key }: GetStateRequest) => {
      checkRequired("address", address);
      return { entry: await kernel.actors.getState(address, key) };
    }),
    listState: unary(api, "ListState", async (request: ListStateRequest) => {
      checkRequired("address", request.address);
      const page = await kernel.actors.listState(
        request.address,
        request.prefix,
        pageRequest(request),
      );
      return { entries: [...page.items], nextPageToken: page.nextPageToken ?? "" };
    }),
  };
}
