/** An open block, by the heights the stack must have. */
interface Block {
  readonly base: number;
  readonly params: number;
  readonly results: number;
  /** The block itself can't be reached. */
  readonly dead: boolean;
}

/**
 * How many operands are on the stack, without their types. Exact in code that can be reached; in other code the
 * engine keeps no operands, and heights do not matter.
 */
export class OperandStack {
  #blocks: Block[] = [];
  #height = 0;
  #highest = 0;
  #dead = false;

  /** Begins a function, whose body is the outermost block. */
  reset(results: number): void {
    this.#blocks = [{ base: 0, params: 0, results, dead: false }];
    this.#height = 0;
    this.#highest = 0;
    this.#dead = false;
  }

  /** Blocks that are open, the function's body included. */
  get blocks(): number {
    return this.#blocks.length;
  }

  get highest(): number {
    return this.#highest;
  }

  change(effect: number): void {
    if (this.#dead) return;
    this.#height += effect;
    if (this.#height > this.#highest) this.#highest = this.#height;
  }

  /** What follows in this block can't be reached. */
  leave(): void {
    this.#dead = true;
  }

  open(params: number, results: number): void {
    this.#blocks.push({ base: this.#height - params, params, results, dead: this.#dead });
  }

  /** False when the block does not leave its results. */
  else(): boolean {
    const block = this.#blocks.at(-1)!;
    const complete = this.#isComplete(block);
    this.#dead = block.dead;
    this.#height = block.base + block.params;
    return complete;
  }

  /** False when the block does not leave its results. */
  close(): boolean {
    const block = this.#blocks.pop()!;
    const complete = this.#isComplete(block);
    this.#dead = block.dead;
    this.#height = block.base + block.results;
    if (this.#height > this.#highest) this.#highest = this.#height;
    return complete;
  }

  #isComplete({ base, results }: Block): boolean {
    return this.#dead || this.#height === base + results;
  }
}
