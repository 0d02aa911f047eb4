import type { NodeServiceServer, ProcessStatus } from "../../gen/caxton/v1/node.ts";
import type { GetTreeRequest, SupervisorServiceServer } from "../../gen/caxton/v1/supervisor.ts";
import { ABI_VERSION, API_VERSION, VERSION } from "../../base/version.ts";
import { type CallContext, unary } from "./call.ts";
import { encodeNodeStatus, encodeSupervisorNode } from "./encode.ts";
import { pageRequest } from "./validate.ts";

export function nodeService(api: CallContext): NodeServiceServer {
  return {
    getStatus: unary(api, "GetStatus", async () => ({
      status: encodeNodeStatus(await api.kernel.node.status(), processStatus()),
    })),
    getVersion: unary(api, "GetVersion", async () => ({
      version: VERSION,
      apiVersion: API_VERSION,
      abiVersion: ABI_VERSION,
    })),
  };
}

function processStatus(): ProcessStatus {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return { rssBytes: rss, heapBytes: heapUsed, cpuSeconds: (user + system) / 1e6 };
}

export function supervisorService(api: CallContext): SupervisorServiceServer {
  return {
    getTree: unary(api, "GetTree", async ({ actorsMax }: GetTreeRequest) => {
      const { pageSize } = pageRequest({ pageSize: actorsMax, pageToken: "" });
      return {
        root: encodeSupervisorNode(await api.kernel.node.supervisorTree({ actorsMax: pageSize })),
      };
    }),
  };
}
