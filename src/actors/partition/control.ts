/** Rare changes of a partition's state, journalled as JSON. */
export type Control =
  | {
      readonly kind: "deploy";
      readonly agent: string;
      readonly environment: number;
      readonly resetMemory: boolean;
    }
  | { readonly kind: "remove"; readonly agent: string }
  | { readonly kind: "suspend"; readonly agent: string; readonly reason: string }
  | { readonly kind: "resume"; readonly agent: string }
  | {
      readonly kind: "hold";
      readonly actor: string;
      readonly code: string;
      readonly reason: string;
    }
  | { readonly kind: "release"; readonly actor: string }
  | { readonly kind: "reset"; readonly actor: string }
  | { readonly kind: "dead-letter-retry"; readonly seq: number }
  | { readonly kind: "dead-letter-drop"; readonly seq: number }
  /** The stream that clients send by, and the last message of it that was met. */
  | { readonly kind: "stream-begin"; readonly incarnation: number; readonly last: number }
  /** A message of the stream can't be taken yet. `storedS`: by when the stream had stored all up to it; older entries don't know. */
  | { readonly kind: "stream-wait"; readonly n: number; readonly storedS?: number }
  /** One that nothing is left to do for, though no entry accepts it. */
  | { readonly kind: "stream-done"; readonly n: number; readonly storedS?: number };
