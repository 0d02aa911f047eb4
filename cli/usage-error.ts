/** The command line or a file it names is wrong; nothing was sent. */
export class UsageError extends Error {
  readonly hint: string;

  constructor(message: string, hint = "") {
    super(message);
    this.hint = hint;
  }
}

/** The person at the terminal thought better of it. */
export class Declined extends Error {}
