/**
 * Whether the node takes work. Starting and stopping are known here; in between the kernel decides,
 * from turns done through every partition.
 */
import type { NodeKernel } from "../actors/index.ts";
import { ensureError } from "../base/errors.ts";

export interface Readiness {
  readonly ready: boolean;
  /** Why not; empty when it is. */
  readonly reasons: readonly string[];
}

export class ReadinessProbe {
  #kernel: NodeKernel | undefined;
  #phase = "starting";

  serving(kernel: NodeKernel): void {
    this.#kernel = kernel;
  }

  stopping(): void {
    this.#kernel = undefined;
    this.#phase = "stopping";
  }

  /** Undefined while the node is starting or stopping. */
  get kernel(): NodeKernel | undefined {
    return this.#kernel;
  }

  async read(): Promise<Readiness> {
    if (this.#kernel === undefined) {
      return { ready: false, reasons: [`the node is ${this.#phase}`] };
    }
    try {
      const { ready, notReady } = await this.#kernel.node.status();
      return { ready, reasons: notReady.map(({ reason }) => reason) };
    } catch (error) {
      return { ready: false, reasons: [ensureError(error).message] };
    }
  }
}
