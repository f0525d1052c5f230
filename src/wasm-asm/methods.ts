/**
 * From instruction tables to methods: the types of the methods are derived from the rows, and one generic method body serves
 * all of them. A row's type reads as in the specification, `"i32 f32 ->"`: operands, arrow, result.
 */
import type { ByteWriter } from "./byte-writer.ts";
import { type ImmediateArgs, type Immediates, immediateWriter } from "./immediates.ts";
import type { Val, ValType } from "./types.ts";

type Operands = ValType | `${ValType} ${ValType}` | `${ValType} ${ValType} ${ValType}`;

export type TypeText = "->" | `-> ${ValType}` | `${Operands} ->` | `${Operands} -> ${ValType}`;

/** One instruction: opcode (`prefix << 16 | number` when above 0xff), type, kinds of its immediates. */
export type InstructionRow = readonly [opcode: number, type: TypeText, immediates?: Immediates];

/** Instructions by mnemonic; a nested table is a further part of the mnemonic (`rmw: { add }`). */
export interface InstructionTable {
  readonly [mnemonic: string]: InstructionRow | InstructionTable;
}

type OperandArgs<S> = S extends `${infer A extends ValType} ${infer B extends ValType} ${infer C extends ValType}`
  ? [a: Val<A>, b: Val<B>, c: Val<C>]
  : S extends `${infer A extends ValType} ${infer B extends ValType}`
    ? [a: Val<A>, b: Val<B>]
    : S extends ValType
      ? [a: Val<S>]
      : [];

type Method<S extends TypeText, I> = S extends `${infer Ops} -> ${infer R extends ValType}`
  ? (...args: [...OperandArgs<Ops>, ...ImmediateArgs<I>]) => Val<R>
  : S extends `-> ${infer R extends ValType}`
    ? (...args: ImmediateArgs<I>) => Val<R>
    : S extends `${infer Ops} ->`
      ? (...args: [...OperandArgs<Ops>, ...ImmediateArgs<I>]) => void
      : (...args: ImmediateArgs<I>) => void;

/** The methods of a table: operands in order, then immediates; each emits at once and returns the token of its result. */
export type Methods<T extends InstructionTable> = {
  readonly [K in keyof T]: T[K] extends readonly [number, infer S extends TypeText, ...infer I]
    ? Method<S, I extends readonly [infer Kind] ? Kind : undefined>
    : T[K] extends InstructionTable
      ? Methods<T[K]>
      : never;
};

/** A row made ready for emission. */
export interface Instruction {
  readonly mnemonic: string;
  readonly opcode: number;
  readonly operands: readonly ValType[];
  readonly result: ValType | null;
  readonly writeImmediates: ((out: ByteWriter, args: readonly unknown[], first: number) => void) | null;
}

/** Whoever takes emitted instructions. `args` = operands, then immediates. */
export interface Emitter {
  emit(instruction: Instruction, args: readonly unknown[]): Val | undefined;
}

export function isRow(entry: InstructionRow | InstructionTable): entry is InstructionRow {
  return Array.isArray(entry);
}

function instructionOf(mnemonic: string, [opcode, type, immediates]: InstructionRow): Instruction {
  const [operands = "", result = ""] = type.split("->").map((side) => side.trim());
  return {
    mnemonic,
    opcode,
    operands: operands === "" ? [] : (operands.split(" ") as ValType[]),
    result: result === "" ? null : (result as ValType),
    writeImmediates: immediates === undefined ? null : immediateWriter(immediates),
  };
}

interface Namespace {
  emitter: Emitter;
  [part: string]: unknown;
}

/**
 * Prepares a table once; the function it returns makes the methods for one emitter. The methods live on a shared prototype,
 * so that a new function costs one small object per namespace and not one closure per instruction.
 */
export function methodsOf<const T extends InstructionTable>(prefix: string, table: T): (emitter: Emitter) => Methods<T> {
  const prototype: Record<string, unknown> = {};
  const nested: [string, (emitter: Emitter) => unknown][] = [];
  for (const [name, entry] of Object.entries<InstructionRow | InstructionTable>(table)) {
    const mnemonic = `${prefix}.${name}`;
    if (isRow(entry)) {
      const instruction = instructionOf(mnemonic, entry);
      prototype[name] = function (this: Namespace, ...args: unknown[]) {
        return this.emitter.emit(instruction, args);
      };
    } else {
      nested.push([name, methodsOf(mnemonic, entry)]);
    }
  }
  return (emitter) => {
    const namespace = Object.create(prototype) as Namespace;
    namespace.emitter = emitter;
    for (const [name, make] of nested) namespace[name] = make(emitter);
    return namespace as unknown as Methods<T>;
  };
}
