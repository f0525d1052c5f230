/**
 * The set of kernels that one loaded model needs: each is asked for by key, emitted once, and callable after `instantiate`. All of them
 * live in one small module per bank of memory.
 */
import type { ModuleBuilder } from "../../wasm-asm/module-builder.ts";
import { ModuleBuilder as Builder } from "../../wasm-asm/module-builder.ts";
import type { Variant } from "./variant.ts";

/** Pointers are passed as numbers up to 2^32; the call takes them modulo 2^32, which is what they are. */
export interface Kernel {
  call(...args: number[]): number | undefined;
}

/** Emits a function into `m` and exports it as `name`. */
export type EmitKernel = (m: ModuleBuilder, name: string, variant: Variant) => void;

export class KernelSet {
  readonly variant: Variant;
  readonly #module: ModuleBuilder;
  readonly #kernels = new Map<string, { call: Kernel["call"] }>();
  readonly #shared = new Map<string, unknown>();

  constructor(variant: Variant, memoryPages: number, isShared: boolean) {
    this.variant = variant;
    this.#module = new Builder("kernels");
    this.#module.importMemory("env", "memory", { initial: memoryPages, maximum: memoryPages, shared: isShared });
  }

  /** The kernel called `key`, emitted on first demand. Equal keys must mean equal code. */
  kernel(key: string, emit: EmitKernel): Kernel {
    let kernel = this.#kernels.get(key);
    if (kernel === undefined) {
      emit(this.#module, key, this.variant);
      kernel = {
        call: () => {
          throw new Error("wasm: kernels are not instantiated yet");
        },
      };
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  /** A helper function that several kernels call, emitted once. */
  shared<T>(key: string, emit: (m: ModuleBuilder) => T): T {
    if (!this.#shared.has(key)) this.#shared.set(key, emit(this.#module));
    return this.#shared.get(key) as T;
  }

  /** The module's bytes; nothing can be added afterwards. */
  build(): Uint8Array<ArrayBuffer> {
    return this.#module.build();
  }

  /** Binds every kernel to `memory`; `module` where another thread has compiled the same bytes. */
  instantiate(memory: WebAssembly.Memory, module: WebAssembly.Module = this.compile()): void {
    const instance = new WebAssembly.Instance(module, { env: { memory } });
    for (const [key, kernel] of this.#kernels) kernel.call = instance.exports[key] as Kernel["call"];
  }

  compile(): WebAssembly.Module {
    return new WebAssembly.Module(this.build());
  }
}
