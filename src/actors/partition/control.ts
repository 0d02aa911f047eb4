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
  | { readonly kind: "dead-letter-drop"; readonly seq: number };
