/** Which nats-servers are new enough. */

/** Below it are no atomic batches, and known losses are not mended. */
export const NATS_VERSION_MIN = "2.12";

const [MAJOR_MIN, MINOR_MIN] = NATS_VERSION_MIN.split(".").map(Number) as [number, number];

/** Of what a server says it is, such as 2.12.3 or 2.13.0-RC.1. Anything unreadable is not enough. */
export function isNewEnough(version: string): boolean {
  const match = /^v?(\d{1,6})\.(\d{1,6})\b/.exec(version);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > MAJOR_MIN || (major === MAJOR_MIN && minor >= MINOR_MIN);
}
