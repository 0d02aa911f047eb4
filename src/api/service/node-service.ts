import { arch, availableParallelism, platform, release, totalmem } from "node:os";
import type { NodeServiceService, ProcessStatus } from "../../gen/caxton/v1/node.ts";
import type { GetTreeRequest, SupervisorServiceService } from "../../gen/caxton/v1/supervisor.ts";
import { ABI_VERSION, API_VERSION, VERSION } from "../../base/version.ts";
import type { ApiContext } from "../request.ts";
import { encodeNodeStatus, encodeSupervisorNode } from "./encode.ts";
import type { Methods } from "./method.ts";
import { pageRequest } from "./validate.ts";

export function nodeService(api: ApiContext): Methods<NodeServiceService> {
  return {
    getStatus: async () => ({
      status: encodeNodeStatus(await api.kernel.node.status(), {
        limits: api.config.current.limits,
        process: processStatus(),
      }),
    }),
    getConfig: async () => ({ settings: api.config.settings() }),
    reloadConfig: async () => {
      const { applied, needsRestart } = api.config.reload();
      return { applied: [...applied], needsRestart: [...needsRestart] };
    },
    getDiagnostics: async () => ({
      metrics: await api.metrics.render(
        await api.kernel.node.status(),
        await api.kernel.agents.list(undefined),
      ),
      logLines: api.recentLog.lines,
      runtime: Object.fromEntries(
        Object.entries(process.versions).map(([name, version = ""]) => [name, version]),
      ),
      platform: `${platform()} ${release()}`,
      architecture: arch(),
      cores: availableParallelism(),
      memoryBytes: totalmem(),
    }),
    getVersion: async () => ({
      version: VERSION,
      apiVersion: API_VERSION,
      abiVersion: ABI_VERSION,
    }),
  };
}

function processStatus(): ProcessStatus {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return { rssBytes: rss, heapBytes: heapUsed, cpuSeconds: (user + system) / 1e6 };
}

export function supervisorService(api: ApiContext): Methods<SupervisorServiceService> {
  return {
    getTree: async ({ actorsMax }: GetTreeRequest) => {
      const { pageSize } = pageRequest({ pageSize: actorsMax, pageToken: "" });
      return {
        root: encodeSupervisorNode(await api.kernel.node.supervisorTree({ actorsMax: pageSize })),
      };
    },
  };
}
