/** Whose turn it is to send: the highest priority first, and within it each stream in turn. */
export class Schedule {
  readonly #turns = new Map<number, number[]>(); // by priority
  readonly #queued = new Set<number>();

  /** A stream that has something to send. */
  wake(id: number, priority: number): void {
    if (this.#queued.has(id)) return;
    this.#queued.add(id);
    const turns = this.#turns.get(priority);
    if (turns === undefined) this.#turns.set(priority, [id]);
    else turns.push(id);
  }

  /** The stream whose turn it is; those of which `hasWaiting` is false lose theirs. */
  next(hasWaiting: (id: number) => boolean): number | undefined {
    for (const priority of [...this.#turns.keys()].sort((a, b) => a - b)) {
      const turns = this.#turns.get(priority)!;
      for (let id = turns[0]; id !== undefined; id = turns[0]) {
        if (hasWaiting(id)) return id;
        this.#queued.delete(id);
        turns.shift();
      }
      this.#turns.delete(priority);
    }
    return undefined;
  }

  /** The turn of the stream that next() named is over. */
  endTurn(id: number, priority: number, goesOn: boolean): void {
    this.#turns.get(priority)!.shift();
    this.#queued.delete(id);
    if (goesOn) this.wake(id, priority);
  }
}
