/** The process that `caxton storage` runs. What failed is left as it is: only a whole copy is closed in order. */
import { ensureError } from "./base/errors.ts";
import { exitCodeOf } from "./base/exit-codes.ts";
import { failureOf, failureText } from "./base/failure-text.ts";
import { storageCommand } from "./storage-command.ts";

// A node has listeners that keep its process alive; what storage waits for does not.
setInterval(() => undefined, 60_000);
try {
  await storageCommand().parseAsync();
  process.exit();
} catch (error) {
  process.stderr.write(failureText(failureOf(ensureError(error))));
  process.exit(exitCodeOf(ensureError(error)));
}
