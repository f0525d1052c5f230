/**
 * One bank: a wasm32 memory of at most 4 GiB, laid out once from the plan and never grown. Pointers are unsigned; untouched pages of
 * the KV range cost nothing until they are written.
 */
import { BackendError } from "../../errors.ts";

const WASM_PAGE = 65_536;
const MAX_BANK_BYTES = 2 ** 32;
/** Address 0 is never handed out, so that a forgotten pointer reads zeros and not a weight. */
const FIRST_ADDRESS = 1024;
/** Cache line; also the widest load twice over. */
const ALIGNMENT = 64;

/** Hands out addresses before the memory exists. */
export class BankLayout {
  #end = FIRST_ADDRESS;

  /** Address of `nBytes` bytes, 64-aligned. */
  take(nBytes: number): number {
    const address = this.#end;
    this.#end = Math.ceil((address + nBytes) / ALIGNMENT) * ALIGNMENT;
    return address;
  }

  get nBytes(): number {
    return this.#end;
  }

  get nWasmPages(): number {
    return Math.ceil(this.#end / WASM_PAGE);
  }
}

export class Bank {
  readonly memory: WebAssembly.Memory;
  readonly #buffer: ArrayBufferLike;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.#buffer = memory.buffer;
  }

  /** @throws BackendError `memory-too-large` beyond 4 GiB, `memory-refused` where the runtime gives less. */
  static allocate(layout: BankLayout, isShared: boolean): Bank {
    if (layout.nBytes > MAX_BANK_BYTES) {
      throw new BackendError(
        "memory-too-large",
        `wasm: the plan needs ${layout.nBytes} bytes; one memory holds ${MAX_BANK_BYTES}`,
        {
          data: { need: layout.nBytes, got: MAX_BANK_BYTES },
          hint: "Use a smaller nCtx or a smaller model.",
        },
      );
    }
    try {
      return new Bank(new WebAssembly.Memory({ initial: layout.nWasmPages, maximum: layout.nWasmPages, shared: isShared }));
    } catch (cause) {
      throw new BackendError("memory-refused", `wasm: the runtime refused a memory of ${layout.nBytes} bytes`, {
        data: { need: layout.nBytes },
        hint: "Close other pages or programs, or use a smaller nCtx.",
        cause,
      });
    }
  }

  bytes(address: number, nBytes: number): Uint8Array {
    return new Uint8Array(this.#buffer, address, nBytes);
  }

  f32(address: number, n: number): Float32Array {
    return new Float32Array(this.#buffer, address, n);
  }

  i32(address: number, n: number): Int32Array {
    return new Int32Array(this.#buffer, address, n);
  }

  /** Copies inside the bank. */
  copy(from: number, to: number, nBytes: number): void {
    this.bytes(to, nBytes).set(this.bytes(from, nBytes));
  }
}
