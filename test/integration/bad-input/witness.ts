/** What every refusal must look like, and an agent that notices when one changed something. */
import { status } from "@grpc/grpc-js";
import { expect } from "vitest";
import { type ErrorCode, ERRORS } from "../../../src/base/errors.ts";
import { fixtureModule, manifest, refusal, type Wire, type WireError } from "../../support/wire.ts";

/** The code with its status, what is wrong this time, how to mend it, and where to look it up. */
export async function expectRefused(
  call: Promise<unknown>,
  code: ErrorCode,
  why: RegExp,
): Promise<WireError> {
  const error = await refusal(call);
  expect(error.message).toMatch(why);
  expect(error.detail).toMatchObject({ code, hint: ERRORS[code].hint });
  expect(status[error.status]).toBe(ERRORS[code].grpc);
  expect(error.detail!.hint).not.toBe("");
  expect(error.detail!.traceId).toMatch(/^[0-9a-f]{32}$/);
  return error;
}

/** An adder with state in memory, deployed before the bad input comes. */
export class Witness {
  readonly #wire: Wire;
  #agents: unknown;
  #messages = 0;

  private constructor(wire: Wire) {
    this.#wire = wire;
  }

  static async deploy(wire: Wire): Promise<Witness> {
    await wire.deploy(manifest("witness"), fixtureModule("adder"));
    const witness = new Witness(wire);
    await wire.askText("default/witness/kept", "42");
    witness.#messages = 1;
    await witness.remember();
    return witness;
  }

  /** Takes the agents there are as the ones there ought to be. */
  async remember(): Promise<void> {
    this.#agents = await this.#list();
  }

  /** The same agents in the same versions, and the actor goes on where it was. */
  async expectUnchanged(): Promise<void> {
    expect(await this.#list()).toEqual(this.#agents);
    await this.expectActorUnchanged();
  }

  async expectActorUnchanged(): Promise<void> {
    this.#messages += 1;
    const answer = await this.#wire.askText("default/witness/kept", "0");
    expect(answer).toBe(`42 ${this.#messages}`);
  }

  async #list(): Promise<unknown> {
    const { agents } = this.#wire;
    const answer = await this.#wire.call(agents.listAgents.bind(agents), { namespace: "" });
    return answer.agents.map(({ name, version, status: state, deployedAtMs }) => ({
      name,
      version,
      state,
      deployedAtMs,
    }));
  }
}
