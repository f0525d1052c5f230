/** Progress on stderr: only for a person (a terminal), and gone when the work has ended. */
import { bytes, oneLine, type Terminal } from "./output.ts";

/** Loads of less than this are over before anybody reads a line: 64 MiB take about 0.1 s from a disk. */
const SILENT_BYTES = 64 * 2 ** 20;
/** At most 10 lines a second. */
const INTERVAL_MS = 100;

export class Progress {
  readonly #terminal: Terminal;
  #last = -INTERVAL_MS;
  #isShown = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Shows `line` in place of the one before. */
  show(line: string): void {
    const now = performance.now();
    if (!this.#terminal.stderr.isTTY || now - this.#last < INTERVAL_MS) return;
    this.#last = now;
    this.#isShown = true;
    this.#terminal.stderr.write(`\r\u001b[K${oneLine(line)}`);
  }

  /** What `loadModel` reports. */
  readonly onLoad = ({ phase, loaded, total }: { phase: string; loaded: number; total: number }): void => {
    if (phase === "weights" && total >= SILENT_BYTES)
      this.show(`loading ${bytes(loaded)} of ${bytes(total)} (${Math.floor((100 * loaded) / total)} %)`);
  };

  /** Takes the line away. */
  end(): void {
    if (this.#isShown) this.#terminal.stderr.write("\r\u001b[K");
    this.#isShown = false;
    this.#last = -INTERVAL_MS;
  }
}
