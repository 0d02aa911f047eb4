/** The benchmarks: `npm run bench -- SCENARIO`. docs/benchmarks.md says what each measures. */
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { exitOnSignals } from "./harness/at-exit.ts";
import { withScratch } from "./harness/disk.ts";
import { describeEnvironment } from "./harness/environment.ts";
import { type BenchStorage, STORAGES, withStorage } from "./harness/nats-storage.ts";
import { moveToObserverCore } from "./harness/pinning.ts";
import { asJson, asTable, type Report } from "./harness/report.ts";
import { activate } from "./scenarios/activate.ts";
import { density } from "./scenarios/density.ts";
import { failoverNats } from "./scenarios/failover-nats.ts";
import { invoke } from "./scenarios/invoke.ts";
import { limits } from "./scenarios/limits.ts";
import type {
  CoresOptions,
  CounterScenarioOptions,
  FailoverOptions,
  NativeOptions,
  PeerOptions,
  RecoverOptions,
  RingLoadOptions,
  RingScenarioOptions,
  ScenarioOptions,
  SoakOptions,
} from "./scenarios/options.ts";
import { native } from "./scenarios/native.ts";
import { peerRestate } from "./scenarios/peer-restate.ts";
import { recover } from "./scenarios/recover.ts";
import { rest } from "./scenarios/rest.ts";
import { soak } from "./scenarios/soak.ts";
import { tellDurable } from "./scenarios/tell-durable.ts";
import { tellEphemeral } from "./scenarios/tell-ephemeral.ts";
import { throughputCores } from "./scenarios/throughput-cores.ts";

type Measured = Pick<Report, "figures" | "ratios"> & Partial<Pick<Report, "environment">>;

interface CommonArguments {
  readonly json: boolean;
  readonly seconds: number;
  readonly directory: string;
  readonly storage: BenchStorage;
  readonly replicas: number;
}

interface LoadArguments extends CommonArguments {
  readonly inFlight: number;
  readonly agent: string;
}

interface RingArguments extends LoadArguments {
  readonly actors: readonly number[];
}

type CoresArguments = LoadArguments & Pick<CoresOptions, "actors" | "durability">;

interface CounterArguments extends CommonArguments {
  readonly small: number;
  readonly js: number;
}

type RecoverArguments = CommonArguments & Omit<RecoverOptions, keyof ScenarioOptions>;
type PeerArguments = CommonArguments & Omit<PeerOptions, keyof ScenarioOptions>;
type NativeArguments = CommonArguments & Omit<NativeOptions, keyof ScenarioOptions>;
type FailoverArguments = CommonArguments & Omit<FailoverOptions, keyof ScenarioOptions>;
type SoakArguments = CommonArguments & Omit<SoakOptions, keyof ScenarioOptions>;

const loadOptions = {
  inFlight: { type: "number", default: 4000, describe: "messages in flight" },
  agent: { choices: ["c", "assemblyscript"], default: "c", describe: "language of the agent" },
} as const;

const ringOptions = {
  actors: {
    type: "number",
    array: true,
    default: [1000, 2, 10_000],
    describe: "one measurement for each number",
  },
  ...loadOptions,
} as const;

const coresOptions = {
  actors: { type: "number", default: 1000 },
  durability: {
    array: true,
    choices: ["durable", "ephemeral"],
    default: ["durable", "ephemeral"],
    describe: "of the actors",
  },
  ...loadOptions,
} as const;

const counterOptions = (small: number, js: number) =>
  ({
    small: { type: "number", default: small, describe: "actors in AssemblyScript; 0 for none" },
    js: { type: "number", default: js, describe: "actors in TypeScript; 0 for none" },
  }) as const;

const recoverOptions = {
  actors: { type: "number", default: 100_000 },
  turns: { type: "number", default: 10, describe: "of each actor" },
  tailTurns: { type: "number", default: 1_000_000, describe: "to replay, of all actors" },
} as const;

const soakOptions = {
  seconds: { type: "number", default: 600, describe: "of the measurement" },
  actors: { type: "number", default: 1000 },
  visits: { type: "number", default: 20, describe: "messages that one ask leads to" },
} as const;

const nativeOptions = {
  messages: { type: "number", default: 100_000, describe: "to publish" },
  payloadBytes: { type: "number", default: 256, describe: "of each message" },
} as const;

const failoverOptions = {
  storage: {
    choices: STORAGES,
    default: "jetstream-fast",
    describe: "what the server stores with",
  },
  replicas: { choices: [3], default: 3, describe: "nats-servers" },
  rounds: { type: "number", default: 5, describe: "for each place the node is connected to" },
  perSecond: { type: "number", default: 50, describe: "messages" },
} as const;

const peerOptions = {
  cache: {
    type: "string",
    default: join(homedir(), ".cache/caxton-bench"),
    describe: "where packages that are fetched stay",
  },
} as const;

await yargs(hideBin(process.argv))
  .scriptName("npm run bench --")
  .option("json", { type: "boolean", default: false, describe: "one JSON object, last line" })
  .option("seconds", { type: "number", default: 30, describe: "of each measurement" })
  .option("directory", {
    type: "string",
    default: tmpdir(),
    describe: "a place on the disk to use",
  })
  .option("storage", {
    choices: STORAGES,
    default: "embedded" as const,
    describe: "what servers store with",
  })
  .option("replicas", {
    choices: [1, 3],
    default: 1,
    describe: "nats-servers that hold each message",
  })
  .command("limits", "what this machine gives at most", {}, (args) =>
    run("limits", args as unknown as CommonArguments, limits),
  )
  .command("tell-durable", "durable messages between actors", ringOptions, (args) =>
    runRing("tell-durable", args as unknown as RingArguments, tellDurable),
  )
  .command("tell-ephemeral", "messages between actors without a log", ringOptions, (args) =>
    runRing("tell-ephemeral", args as unknown as RingArguments, tellEphemeral),
  )
  .command("throughput-cores", "what a second core gives", coresOptions, (args) => {
    const { actors, durability, ...load } = args as unknown as CoresArguments;
    return runLoad("throughput-cores", load, (options) =>
      throughputCores({ ...options, actors, durability }),
    );
  })
  .command("invoke", "asking a durable actor over gRPC", {}, (args) =>
    run("invoke", args as unknown as CommonArguments, invoke),
  )
  .command("rest", "asking over REST, beside a bare HTTP server", {}, (args) =>
    run("rest", args as unknown as CommonArguments, rest),
  )
  .command("native", "a plain NATS client; takes --storage jetstream", nativeOptions, (args) => {
    const { messages, payloadBytes, ...common } = args as unknown as NativeArguments;
    return run("native", common, (options) => native({ ...options, messages, payloadBytes }));
  })
  .command("failover-nats", "the leader of three nats-servers killed", failoverOptions, (args) => {
    const { rounds, perSecond, ...common } = args as unknown as FailoverArguments;
    return run("failover-nats", common, (options) =>
      failoverNats({ ...options, rounds, perSecond }),
    );
  })
  .command("density", "live actors in a gigabyte", counterOptions(10_000, 2000), (args) =>
    runCounter("density", args as unknown as CounterArguments, density),
  )
  .command("activate", "actors back from the store", counterOptions(10_000, 1000), (args) =>
    runCounter("activate", args as unknown as CounterArguments, activate),
  )
  .command("recover", "a killed server with many actors", recoverOptions, (args) => {
    const { actors, turns, tailTurns, ...common } = args as unknown as RecoverArguments;
    return run("recover", common, (options) => recover({ ...options, actors, turns, tailTurns }));
  })
  .command("peer-restate", "the same counters on Restate", peerOptions, (args) => {
    const { cache, ...common } = args as unknown as PeerArguments;
    return run("peer-restate", common, (options) => peerRestate({ ...options, cache }));
  })
  .command("soak", "half of what the server can do, for long", soakOptions, (args) => {
    const { actors, visits, ...common } = args as unknown as SoakArguments;
    return run("soak", common, (options) => soak({ ...options, actors, visits }));
  })
  .demandCommand(1, "name a scenario")
  .strict()
  .parseAsync();

function runRing(
  scenario: string,
  args: RingArguments,
  measure: (options: RingScenarioOptions) => Promise<Measured>,
): Promise<void> {
  const { actors } = args;
  return runLoad(scenario, args, (options) => measure({ ...options, actors }));
}

function runLoad(
  scenario: string,
  args: LoadArguments,
  measure: (options: RingLoadOptions) => Promise<Measured>,
): Promise<void> {
  const { inFlight } = args;
  const language = args.agent === "c" ? "c" : "assemblyscript";
  return run(scenario, args, (options) => measure({ ...options, inFlight, language }));
}

function runCounter(
  scenario: string,
  args: CounterArguments,
  measure: (options: CounterScenarioOptions) => Promise<Measured>,
): Promise<void> {
  const { small, js } = args;
  return run(scenario, args, (options) => measure({ ...options, actors: { small, js } }));
}

async function run(
  scenario: string,
  args: CommonArguments,
  measure: (options: ScenarioOptions) => Promise<Measured>,
): Promise<void> {
  exitOnSignals();
  moveToObserverCore();
  const say = (text: string): void => {
    process.stderr.write(`bench: ${text}\n`);
  };
  const report = await withScratch(resolve(args.directory), async (directory) => {
    const environment = await describeEnvironment(directory);
    const { seconds, storage, replicas } = args;
    const measured = await withStorage({ storage, replicas }, directory, (nats) =>
      measure({ directory, seconds, nats, say }),
    );
    return {
      scenario,
      ...measured,
      environment: { ...environment, storage, replicas, ...measured.environment },
    };
  });
  process.stdout.write(`${args.json ? asJson(report) : asTable(report)}\n`);
}
