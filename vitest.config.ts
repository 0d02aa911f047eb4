import { defineConfig } from "vitest/config";

/** Folders of test/ whose tests need more than a process of their own; all others are unit tests. */
const SPECIAL = {
  contract: ["contract"],
  sim: ["sim"],
  agents: ["agents"],
  integration: ["integration", "api", "cli", "bench"],
  crash: ["crash"],
} as const;

const globs = (folders: readonly string[]) => folders.map((name) => `test/${name}/**/*.test.ts`);

const project = (
  name: string,
  options: {
    include: readonly string[];
    exclude?: readonly string[];
    testTimeout: number;
    maxWorkers: number;
    isolate?: boolean;
  },
) => ({
  test: {
    name,
    include: [...options.include],
    exclude: [...(options.exclude ?? [])],
    testTimeout: options.testTimeout,
    hookTimeout: options.testTimeout,
    teardownTimeout: 10_000,
    maxWorkers: options.maxWorkers,
    isolate: options.isolate ?? true,
    // A wait ends when it is so; on a busy machine the usual second is no sign that it won't be.
    expect: { poll: { timeout: 30_000, interval: 20 } },
    environment: "node" as const,
    // Worker threads refuse the flag that allows many WebAssembly memories.
    pool: "forks" as const,
    execArgv: ["--disable-wasm-trap-handler"],
  },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", {
        include: ["test/**/*.test.ts"],
        exclude: globs(Object.values(SPECIAL).flat()),
        testTimeout: 60_000,
        maxWorkers: 2,
      }),
      project("contract", {
        include: globs(SPECIAL.contract),
        testTimeout: 60_000,
        maxWorkers: 2,
      }),
      project("sim", { include: globs(SPECIAL.sim), testTimeout: 180_000, maxWorkers: 2 }),
      // One process, so that the compiler is loaded and warmed up once.
      project("agents", {
        include: globs(SPECIAL.agents),
        testTimeout: 120_000,
        maxWorkers: 1,
        isolate: false,
      }),
      // These mostly wait for the processes they start.
      project("integration", {
        include: globs(SPECIAL.integration),
        testTimeout: 120_000,
        maxWorkers: 2,
      }),
      project("crash", { include: globs(SPECIAL.crash), testTimeout: 300_000, maxWorkers: 1 }),
    ],
  },
});
