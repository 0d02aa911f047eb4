import { SOURCE_LANGUAGES } from "../../actors/index.ts";
import type { DeployRequest, DeploySource, SourceLanguage } from "../../actors/index.ts";
import { CaxtonError, type Finding } from "../../base/errors.ts";
import { didYouMean } from "../../base/nearest.ts";
import type {
  AgentServiceService,
  DeployAgentRequest,
  DeployAgentResponse,
  ListAgentsRequest,
  SourceBundle,
  SuspendAgentRequest,
} from "../../gen/caxton/v1/agent.ts";
import { watchedLog } from "./agent-log.ts";
import type { ApiContext } from "../request.ts";
import { encodeAgent, encodeStage } from "./encode.ts";
import { type Methods, streamOf } from "./method.ts";
import { checkAgentFilter, checkAgentName, refuse } from "./validate.ts";

interface AgentName {
  namespace: string;
  name: string;
}

/** Each holds a module or sources in memory until it is through. */
const DEPLOYS_MAX = 8;
const DEPLOY_RETRY_AFTER_MS = 1000;

export function agentService(api: ApiContext): Methods<AgentServiceService> {
  const { kernel } = api;
  let deploysRunning = 0;
  return {
    deployAgent: async (request: DeployAgentRequest) => {
      if (deploysRunning >= DEPLOYS_MAX) {
        throw new CaxtonError("OVERLOADED", `${DEPLOYS_MAX} deployments are running already.`, {
          retryAfterMs: DEPLOY_RETRY_AFTER_MS,
        });
      }
      deploysRunning++;
      try {
        return await deploy(api, request);
      } finally {
        deploysRunning--;
      }
    },
    listAgents: async (request: ListAgentsRequest) => {
      checkAgentFilter({ ...request, agent: "" });
      const namespace = request.namespace === "" ? undefined : request.namespace;
      return { agents: (await kernel.agents.list(namespace)).map(encodeAgent) };
    },
    getAgent: async (request: AgentName) => {
      checkAgentName(request);
      return { agent: encodeAgent(await kernel.agents.get(request.namespace, request.name)) };
    },
    deleteAgent: async (request: AgentName) => {
      checkAgentName(request);
      await kernel.agents.delete(request.namespace, request.name);
      return {};
    },
    suspendAgent: async (request: SuspendAgentRequest) => {
      checkAgentName(request);
      const { namespace, name, reason } = request;
      return { agent: encodeAgent(await kernel.agents.suspend(namespace, name, reason)) };
    },
    resumeAgent: async (request: AgentName) => {
      checkAgentName(request);
      return { agent: encodeAgent(await kernel.agents.resume(request.namespace, request.name)) };
    },
    streamAgentLog: streamOf(watchedLog(api), api),
  };
}

async function deploy(api: ApiContext, request: DeployAgentRequest): Promise<DeployAgentResponse> {
  const findings: Finding[] =
    request.manifest === "" ? [{ at: "manifest", message: "is required" }] : [];
  const source = deploySource(request, findings);
  refuse(findings);
  const bytes = sourceBytes(source);
  const { moduleBytesMax } = api.config.current.limits;
  if (bytes > moduleBytesMax) {
    const text = `${bytes} bytes; limits.moduleBytesMax is ${moduleBytesMax}.`;
    throw new CaxtonError("MODULE_TOO_LARGE", `The module or bundle has ${text}`);
  }
  const { manifest, resetMemory } = request;
  const deployment: DeployRequest = { manifest, source, resetMemory };
  const result = await api.kernel.agents.deploy(deployment);
  return {
    agent: encodeAgent(result.agent),
    changed: result.changed,
    stages: result.stages.map(encodeStage),
  };
}

/** What can't be decoded is added to the findings; the result then has no meaning. */
function deploySource(request: DeployAgentRequest, findings: Finding[]): DeploySource {
  const { source } = request;
  if (source?.$case === "bundle") {
    findings.push(...bundleFindings(source.value));
    const language = source.value.language as SourceLanguage;
    return { kind: "source", language, files: new Map(Object.entries(source.value.files)) };
  }
  const bytes = source?.value ?? new Uint8Array();
  if (bytes.length === 0) {
    findings.push({ at: "module", message: "a module or a source bundle is required" });
  }
  return { kind: "module", bytes };
}

function bundleFindings(bundle: SourceBundle): Finding[] {
  const findings: Finding[] = [];
  const languages: readonly string[] = SOURCE_LANGUAGES;
  if (!languages.includes(bundle.language)) {
    const hint = didYouMean(bundle.language, languages) ?? `Known: ${languages.join(", ")}.`;
    findings.push({ at: "bundle.language", message: "unknown language", hint });
  }
  const paths = Object.keys(bundle.files);
  if (paths.length === 0) findings.push({ at: "bundle.files", message: "must not be empty" });
  for (const path of paths) {
    const isInside = path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
    if (!isInside || path.includes("\\") || path.includes("\0")) {
      findings.push({ at: "bundle.files", message: `"${path}" is not a path inside the bundle` });
    }
  }
  return findings;
}

function sourceBytes(source: DeploySource): number {
  if (source.kind === "module") return source.bytes.length;
  let bytes = 0;
  for (const [path, text] of source.files) bytes += path.length + Buffer.byteLength(text);
  return bytes;
}
