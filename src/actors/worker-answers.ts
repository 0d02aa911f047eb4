/** What workers were asked and have not answered yet, by the number of the request. */

interface Asked {
  readonly worker: number;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class WorkerAnswers {
  private readonly asked = new Map<number, Asked>();
  private lastRequestId = 0;

  await<T>(worker: number): { readonly requestId: number; readonly answer: Promise<T> } {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const requestId = ++this.lastRequestId;
    this.asked.set(requestId, { worker, resolve: resolve, reject });
    return { requestId, answer: promise };
  }

  resolve(requestId: number, value: unknown): void {
    const asked = this.asked.get(requestId);
    this.asked.delete(requestId);
    asked?.resolve(value);
  }

  /** Those of one worker, or all. */
  reject(error: Error, worker?: number): void {
    for (const [requestId, asked] of this.asked) {
      if (worker !== undefined && asked.worker !== worker) continue;
      this.asked.delete(requestId);
      asked.reject(error);
    }
  }
}
