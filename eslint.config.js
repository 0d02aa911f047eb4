import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

/**
 * The kernel takes time, chance and timers from its inputs: a replay must see what the first run saw.
 * The files below drive it, so they are where those inputs come from. Keep the list short.
 */
const DETERMINISTIC = ["src/actors/**", "src/cluster/**"];
const DRIVERS = [
  "src/actors/client-requests.ts",
  "src/actors/shard.ts",
  "src/actors/hang-watchdog.ts",
  "src/actors/worker-pool.ts",
  "src/actors/wasm/deploy/sandbox.ts",
  "src/actors/wasm/languages/compiler-thread.ts",
];

const AMBIENT = "comes from the driver here, so that a replay sees the same";

export default defineConfig(
  {
    ignores: [
      "node_modules/",
      "coverage/",
      "**/dist/",
      ".cache/",
      ".caxton/",
      "src/gen/",
      // AssemblyScript: TypeScript to look at, checked by its own compiler.
      "sdk/assemblyscript/",
      // They belong to a project of their own once they are somebody's.
      "sdk/agent/templates/",
      "sdk/agent/caxton-globals.d.ts",
      "examples/*/*/assembly/",
      "bench/agents/",
      "test/agents/fixtures/",
    ],
  },
  {
    files: ["**/*.{ts,mts,js,cjs}"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-console": "error",
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Use named exports." },
        { selector: "ExportAllDeclaration", message: "Name what is exported." },
        { selector: "TSEnumDeclaration", message: "Use a union of literals." },
      ],
      "max-lines": ["error", { max: 500 }],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ["**/*.{ts,mts}"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      // Node strips types and keeps the import: `import { type A }` would still run the module.
      "@typescript-eslint/no-import-type-side-effects": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_" },
      ],
      // Indexing a typed array inside its bounds is the common case: `!` says so.
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // `while (true)` reads better than a made-up condition.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // An async method may keep a port's promise without awaiting anything itself.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
  {
    files: DETERMINISTIC,
    ignores: DRIVERS,
    rules: {
      "no-restricted-globals": [
        "error",
        ...["setTimeout", "setInterval", "setImmediate", "performance"].map((name) => ({
          name,
          message: `Time ${AMBIENT}.`,
        })),
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: `Time ${AMBIENT}.` },
        { object: "Math", property: "random", message: `Chance ${AMBIENT}.` },
        { object: "process", property: "hrtime", message: `Time ${AMBIENT}.` },
      ],
    },
  },
  {
    files: ["test/**", "bench/**"],
    rules: {
      "max-lines-per-function": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
    },
  },
  {
    // Programs that talk to a terminal.
    files: ["cli/**", "bench/**", "scripts/**", "examples/**", "test/**"],
    rules: { "no-console": "off" },
  },
  {
    // Tools that load these files look for a default export.
    files: ["*.config.{ts,js}"],
    rules: { "no-restricted-syntax": "off" },
  },
);
