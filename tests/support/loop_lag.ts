/** How long this process's event loop takes for one turn: what happens within it has no order for an observer. */
export class LoopLag implements Disposable {
  /** The longest time between two looks at the clock, at every turn, ms. */
  longestMs = 0;
  #last = performance.now();
  #timer: ReturnType<typeof setTimeout>;

  constructor() {
    const look = () => {
      const now = performance.now();
      this.longestMs = Math.max(this.longestMs, now - this.#last);
      this.#last = now;
      this.#timer = setTimeout(look, 0);
    };
    this.#timer = setTimeout(look, 0);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
