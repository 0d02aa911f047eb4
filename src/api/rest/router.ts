/** Finds the method that a verb and a path stand for. */
import { CaxtonError } from "../../base/errors.ts";
import { nearest } from "../../base/nearest.ts";
import { refusal } from "../service/validate.ts";
import type { HttpRule } from "./schema.ts";

export interface Match {
  readonly rule: HttpRule;
  /** Unescaped values of the fields in the path, in its order. */
  readonly pathValues: readonly string[];
}

interface Route {
  readonly rule: HttpRule;
  readonly pattern: RegExp;
}

export class MethodNotAllowed extends CaxtonError {
  readonly allowed: readonly string[];

  constructor(verb: string, path: string, allowed: readonly string[]) {
    super(
      "METHOD_NOT_ALLOWED",
      `${verb} is not for ${path}, which takes ${allowed.join(" and ")}.`,
    );
    this.allowed = allowed;
  }
}

export class Router {
  readonly #routes: readonly Route[];

  constructor(rules: readonly HttpRule[]) {
    this.#routes = rules.map((rule) => ({
      rule,
      pattern: patternOf(rule.path),
    }));
  }

  /** Throws UNKNOWN_PATH or METHOD_NOT_ALLOWED. */
  find(verb: string, path: string): Match {
    const allowed: string[] = [];
    for (const { rule, pattern } of this.#routes) {
      const values = pattern.exec(path);
      if (values === null) continue;
      if (rule.verb !== verb) {
        allowed.push(rule.verb);
        continue;
      }
      return { rule, pathValues: values.slice(1).map(unescaped) };
    }
    if (allowed.length > 0) throw new MethodNotAllowed(verb, path, allowed);
    throw this.#unknown(path);
  }

  #unknown(path: string): CaxtonError {
    const known = this.#routes.map(({ rule }) => rule.path).filter((each) => !each.includes("{"));
    const guess = nearest(path, known);
    const also = guess === undefined ? "" : ` Did you mean ${guess}?`;
    const shown = path.length > 200 ? `${path.slice(0, 200)}...` : path;
    return new CaxtonError("UNKNOWN_PATH", `There is nothing at ${shown}.${also}`);
  }
}

function patternOf(path: string): RegExp {
  const pattern = path.replaceAll(/\{\w+(?:=([^}]*))?\}|[.]/g, (part, wild: string | undefined) => {
    if (part === ".") return "\\.";
    if (wild === "**") return "(.+)";
    return `(${(wild ?? "*").replaceAll("*", "[^/]+")})`;
  });
  return new RegExp(`^${pattern}$`);
}

function unescaped(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw refusal({ at: "path", message: `"${value}" is not percent-encoded UTF-8` });
  }
}
