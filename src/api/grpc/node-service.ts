import type { NodeServiceServer } from "../../gen/caxton/v1/node.ts";
import type { GetTreeRequest, SupervisorServiceServer } from "../../gen/caxton/v1/supervisor.ts";
import { ABI_VERSION, API_VERSION, VERSION } from "../../base/version.ts";
import { type ApiContext, unary } from "./call.ts";
import { encodeNodeStatus, encodeSupervisorNode } from "./encode.ts";
import { pageRequest } from "./validate.ts";

export function nodeService(api: ApiContext): NodeServiceServer {
  return {
    getStatus: unary(api, "GetStatus", async () => ({
      status: encodeNodeStatus(await api.kernel.nodeStatus()),
    })),
    getVersion: unary(api, "GetVersion", async () => ({
      version: VERSION,
      apiVersion: API_VERSION,
      abiVersion: ABI_VERSION,
    })),
  };
}

export function supervisorService(api: ApiContext): SupervisorServiceServer {
  return {
    getTree: unary(api, "GetTree", async ({ actorsMax }: GetTreeRequest) => {
      const { pageSize } = pageRequest({ pageSize: actorsMax, pageToken: "" });
      return {
        root: encodeSupervisorNode(await api.kernel.supervisorTree({ actorsMax: pageSize })),
      };
    }),
  };
}
