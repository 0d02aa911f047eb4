/**
 * A shell that outlives the node for a moment, to end the nats-server of a node that had no time to do so itself.
 * It reads from a pipe that only the node holds: the pipe ends with the node, however that ends.
 */
import { type ChildProcess, spawn } from "node:child_process";

/**
 * $1: what the server was started with, $2: seconds until it is forced. Each line names the process to end; 0 is none.
 * A pid is believed only while its command line has that argument.
 */
const SCRIPT = `
pid=0
while read -r line; do pid=$line; done
is_there() {
  if [ -d /proc/self ]; then tr '\\0' '\\n' <"/proc/$pid/cmdline" | grep -qxF -e "$1"
  else ps -o args= -p "$pid" | grep -qF -e "$1"; fi 2>/dev/null
}
[ "$pid" -gt 0 ] && is_there "$1" || exit 0
kill -TERM "$pid"
kill -CONT "$pid"
tries=0
while is_there "$1"; do
  tries=$((tries + 1))
  [ "$tries" -gt $(($2 * 10)) ] && kill -KILL "$pid"
  sleep 0.1
done
`;

export class EndWithNode {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(argument: string, graceS: number) {
    // A group of its own: an interrupt from the terminal is for the node, which stops things in order.
    this.#child = spawn("/bin/sh", ["-c", SCRIPT, "caxton-nats-watch", argument, `${graceS}`], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", () => resolve()).once("exit", () => resolve());
    });
    // Whether it is there is no condition for running: the next start finds a left-over as well.
    this.#child.stdin!.on("error", () => undefined);
    this.#child.unref();
  }

  /** From now on it ends this one; undefined: none. */
  watch(pid: number | undefined): void {
    this.#child.stdin!.write(`${pid ?? 0}\n`);
  }

  async stop(): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }
}
