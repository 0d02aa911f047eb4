/**
 * The part of the AssemblyScript compiler's API that is used here; tsconfig.json points "assemblyscript/asc"
 * to this file. The package's own types would declare AssemblyScript's globals for the whole project.
 */

export interface Diagnostic {
  readonly message: string;
  readonly category: number;
  readonly range: {
    readonly start: number;
    readonly source: { readonly normalizedPath: string } | null;
  } | null;
}

export interface CompilerIo {
  readonly readFile?: (name: string) => string | null;
  readonly writeFile?: (name: string, contents: Uint8Array | string) => void;
  readonly listFiles?: () => string[];
  readonly reportDiagnostic?: (diagnostic: Diagnostic) => void;
}

/** The standard library by path without extension; it can be added to. */
export const libraryFiles: Record<string, string>;

export function main(
  options: readonly string[],
  io?: CompilerIo,
): Promise<{ readonly error: Error | null; readonly stderr: { toString(): string } }>;
