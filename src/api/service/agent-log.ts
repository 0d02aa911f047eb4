/** An agent's log lines: what the node still has, and what is to come. */
import {
  type AgentLogFilter,
  type AgentLogLine,
  formatAddress,
  lineBytes,
  parseAddress,
} from "../../actors/index.ts";
import {
  LogLevel,
  type StreamAgentLogRequest,
  type StreamAgentLogResponse,
} from "../../gen/caxton/v1/agent.ts";
import type { ApiContext } from "../request.ts";
import { decodeLogLevel, encodeLogLine } from "./encode.ts";
import type { Watched } from "./method.ts";
import { checkAgentName, refuse } from "./validate.ts";

export function watchedLog({
  kernel,
}: ApiContext): Watched<
  StreamAgentLogRequest,
  StreamAgentLogResponse,
  AgentLogFilter,
  AgentLogLine
> {
  return {
    filterOf,
    earlier: (filter, { tail }) => kernel.agentLogs.read(filter, tail ?? Infinity),
    subscribe: (subscriber, { follow }) =>
      follow ? kernel.agentLogs.subscribe(subscriber) : undefined,
    encode: encodeLogLine,
    bytesOf: lineBytes,
  };
}

function filterOf(request: StreamAgentLogRequest): AgentLogFilter {
  checkAgentName(request);
  const { namespace, name, key } = request;
  const level = decodeLogLevel(request.level);
  if (level === undefined && request.level !== LogLevel.UNSPECIFIED) {
    refuse([{ at: "level", message: "is not known to this server" }]);
  }
  const filter = { namespace, name, level: level ?? "debug" };
  if (key === "") return filter;
  return { ...filter, address: formatAddress(parseAddress(`${namespace}/${name}/${key}`)) };
}
