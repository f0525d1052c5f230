/**
 * The nouns of the assembler: value types, value tokens and the handles of functions, globals and tables.
 * A handle carries its Wasm type in its TypeScript type, so that a misuse does not compile.
 */

/** Number and vector types with their binary codes. Source: WebAssembly core specification 3.0, §5.3.1, §5.3.2. */
export const VAL_TYPE = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

export type ValType = keyof typeof VAL_TYPE;

/** The value that one emitted instruction left on the operand stack; consumed by exactly one later instruction. */
export class Val<out T extends ValType = ValType> {
  readonly type: T;
  /** The instruction that made it, for messages. */
  readonly madeBy: string;

  constructor(type: T, madeBy: string) {
    this.type = type;
    this.madeBy = madeBy;
  }
}

export type Vals<P extends readonly ValType[]> = { [I in keyof P]: Val<P[I]> };

/** What a function or a block with results `R` gives: one token or nothing. */
// biome-ignore lint/suspicious/noConfusingVoidType: it is the return type of bodies that end in a statement
export type ResultVal<R extends readonly ValType[]> = R extends readonly [infer T extends ValType] ? Val<T> : void;

export interface FuncType<P extends readonly ValType[], R extends readonly ValType[]> {
  readonly params?: P;
  /** At most one. */
  readonly results?: R;
}

/** A function of the module under construction, imported or defined; may be called before its body is written. */
export class Func<P extends readonly ValType[] = readonly ValType[], R extends readonly ValType[] = readonly ValType[]> {
  readonly name: string;
  readonly index: number;
  readonly typeIndex: number;
  readonly params: P;
  readonly results: R;

  constructor(name: string, index: number, typeIndex: number, params: P, results: R) {
    this.name = name;
    this.index = index;
    this.typeIndex = typeIndex;
    this.params = params;
    this.results = results;
  }
}

/** A global variable; `M` is true when it is mutable. */
export class Global<T extends ValType = ValType, M extends boolean = boolean> {
  readonly index: number;
  readonly type: T;
  readonly mutable: M;

  constructor(index: number, type: T, mutable: M) {
    this.index = index;
    this.type = type;
    this.mutable = mutable;
  }
}

/** A table of functions for `call_indirect`. */
export class Table {
  readonly index: number;

  constructor(index: number) {
    this.index = index;
  }
}
