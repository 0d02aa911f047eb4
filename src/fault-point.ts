/**
 * For tests of crashes: CAXTON_FAULT_POINT=<name>:<n> makes the process kill itself with SIGKILL when it passes
 * the moment of that name for the nth time. Nothing happens without the variable.
 */

/** The option of storage and kernel, absent without the variable. */
export function faultPoint(env: Readonly<Record<string, string | undefined>>): {
  readonly faultPoint?: (name: string) => void;
} {
  const wanted = env["CAXTON_FAULT_POINT"];
  if (wanted === undefined) return {};
  const [point, nth = "1"] = wanted.split(":");
  let left = Number(nth);
  return {
    faultPoint: (name) => {
      if (name === point && --left === 0) process.kill(process.pid, "SIGKILL");
    },
  };
}
