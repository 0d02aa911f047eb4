/** The asks that `rest` makes in every way: 256 letters, which JSON carries as they are, for actors in turn. */
const CONTENT_BYTES = 256;

export const ACTORS = 64;
export const CONTENT_TYPE = "text/plain";
/** By actor. */
export const CONTENTS = Array.from({ length: ACTORS }, (_, actor) =>
  `actor ${actor} `.padEnd(CONTENT_BYTES, "7"),
);
