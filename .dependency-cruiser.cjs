/** Rooms from the ground up: a room may import itself and the rooms before it. */
const ROOMS = ["base", "gen", "storage", "actors", "cluster", "api"];

const upwards = ROOMS.slice(0, -1).map((room, index) => ({
  name: `${room}-imports-nothing-above-it`,
  severity: "error",
  from: { path: `^src/${room}/` },
  to: { path: `^src/(${ROOMS.slice(index + 1).join("|")})/|^src/[^/]+\\.ts$` },
}));

/** base and gen are leaves whose files are imported one by one. */
const doors = ROOMS.filter((room) => room !== "base" && room !== "gen").map((room) => ({
  name: `${room}-has-one-door`,
  severity: "error",
  comment: "Other rooms import index.ts, nothing behind it.",
  from: { path: "^src/", pathNot: `^src/${room}/` },
  // Worker threads need the frame codec without the engines behind the door.
  to: {
    path: `^src/${room}/`,
    pathNot: `^src/${room}/index\\.ts$|^src/storage/frame-(codec|entries)\\.ts$`,
  },
}));

module.exports = {
  forbidden: [
    ...upwards,
    ...doors,
    {
      name: "storage-engines-are-behind-the-door",
      severity: "error",
      from: {
        path: "^src/",
        pathNot: "^src/storage/(embedded/|jetstream/|(index|open-storage)\\.ts$)",
      },
      to: { path: "^src/storage/(embedded|jetstream)/" },
    },
    {
      name: "base-knows-no-room",
      severity: "error",
      from: { path: "^src/base/" },
      to: { path: "^src/", pathNot: "^src/base/" },
    },
    {
      name: "src-stands-alone",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(cli|sdk|bench|test|scripts|examples)/" },
    },
    {
      name: "cli-speaks-only-the-wire",
      severity: "error",
      from: { path: "^cli/" },
      to: {
        path: "^(src|sdk|bench|test|scripts|examples)/",
        pathNot: "^src/(base|gen)/|^sdk/client-ts/index\\.ts$",
      },
    },
    {
      name: "tests-of-authors-start-a-node-and-speak-the-wire",
      severity: "error",
      from: { path: "^sdk/agent/testing/" },
      to: {
        path: "^(src|cli|bench|test|scripts|examples)/",
        pathNot: "^src/(base|gen)/|^src/server\\.ts$|^cli/agent-source\\.ts$",
      },
    },
    {
      name: "the-client-library-is-made-of-the-wire-alone",
      severity: "error",
      from: { path: "^sdk/client-ts/" },
      to: {
        path: "^(src|cli|sdk|bench|test|scripts|examples)/",
        pathNot: "^src/gen/|^sdk/client-ts/",
      },
    },
    {
      name: "examples-use-the-public-surface",
      severity: "error",
      from: { path: "^examples/" },
      to: { path: "^(src|bench|test)/", pathNot: "^src/gen/" },
    },
    {
      name: "no-cycles",
      severity: "error",
      comment: "Types may name each other; modules that run may not.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, path: "^src/", pathNot: "^src/gen/|\\.d\\.ts$" },
      to: {},
    },
    {
      name: "no-development-packages-in-the-product",
      severity: "error",
      from: { path: "^(src|cli|sdk)/" },
      to: { dependencyTypes: ["npm-dev"], pathNot: "@types/" },
    },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: {
      path: "^(bench/agents|sdk/agent/templates|test/agents/fixtures|examples/[^/]+/[^/]+/)",
    },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
    builtInModules: { add: ["node:sqlite", "node:test"] },
  },
};
