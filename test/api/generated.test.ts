import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "vitest";

test("the proto files pass the lint and src/gen is what they generate", () => {
  const script = fileURLToPath(new URL("../../scripts/check-generated.sh", import.meta.url));
  execFileSync(script, { stdio: "pipe" });
});
