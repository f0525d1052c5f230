/** Text that grows: shown once per frame, however fast it comes, and kept in view unless the reader scrolled away. */
export class TextView {
  readonly #element: HTMLElement;
  /** What should stay in view: it stands below the text. */
  readonly #end: HTMLElement;
  #pending = "";
  #frame = 0;

  constructor(element: HTMLElement, end: HTMLElement) {
    this.#element = element;
    this.#end = end;
  }

  clear(): void {
    this.#element.textContent = "";
    this.#end.scrollIntoView({ block: "nearest" });
  }

  append(text: string): void {
    this.#pending += text;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.flush());
  }

  /** Shows what has come so far; a page in the background has no frames. */
  flush(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.keepInView(() => this.#element.append(this.#pending));
    this.#pending = "";
  }

  /** Makes a change that may move the end. */
  keepInView(change: () => void): void {
    const isInView = this.#end.getBoundingClientRect().bottom <= innerHeight + 1;
    change();
    if (isInView) this.#end.scrollIntoView({ block: "nearest" });
  }
}
