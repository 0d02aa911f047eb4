/** A binary min-heap by a numeric key. */
export class MinHeap<T> {
  private readonly keys: number[] = [];
  private readonly items: T[] = [];

  get size(): number {
    return this.keys.length;
  }

  get minKey(): number {
    return this.keys[0] ?? Infinity;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  push(key: number, item: T): void {
    const { keys, items } = this;
    let at = keys.length;
    keys.push(key);
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[at] = keys[parent]!;
      items[at] = items[parent]!;
      at = parent;
    }
    keys[at] = key;
    items[at] = item;
  }

  /** Drops the items that do not pass. */
  keep(passes: (item: T) => boolean): void {
    const kept: [number, T][] = [];
    this.items.forEach((item, i) => {
      if (passes(item)) kept.push([this.keys[i]!, item]);
    });
    this.keys.length = 0;
    this.items.length = 0;
    for (const [key, item] of kept) this.push(key, item);
  }

  pop(): T | undefined {
    const { keys, items } = this;
    const top = items[0];
    const key = keys.pop();
    const item = items.pop();
    if (key === undefined || keys.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= keys.length) break;
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= key) break;
      keys[at] = keys[child]!;
      items[at] = items[child]!;
      at = child;
    }
    keys[at] = key;
    items[at] = item as T;
    return top;
  }
}
