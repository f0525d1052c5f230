/**
 * Emits the body of one function. Each instruction is a method that takes its operands as value tokens, emits at once and
 * returns the token of its result; since JavaScript evaluates arguments left to right, nested calls emit correct postfix code
 * and read like folded text format:
 *
 *     f.i32.add(x.get(), f.i32.const(1))        // local.get x, i32.const 1, i32.add
 *
 * A token is consumed once, in stack order; anything else throws while emitting, with the function and instruction.
 * Arguments: operands in the order of the specification, then immediates (lane, { offset, align }).
 * Source: WebAssembly core specification 3.0, §5.4 (WebAssembly/spec@wg-3.0). Left out: multi-value, references, exceptions.
 */
import { ATOMIC, I32_ATOMIC, I64_ATOMIC, MEMORY_ATOMIC } from "./atomic-instructions.ts";
import { ByteWriter } from "./byte-writer.ts";
import { type Emitter, type Instruction, type Methods, methodsOf } from "./methods.ts";
import { F32, F64, I32, I64, MEMORY } from "./numeric-instructions.ts";
import { type Label, OperandStack } from "./operand-stack.ts";
import { F32X4, F64X2, I8X16, I16X8, I32X4, I64X2, V128 } from "./simd-instructions.ts";
import {
  type Func,
  type FuncType,
  type Global,
  type ResultVal,
  type Table,
  VAL_TYPE,
  type Val,
  type Vals,
  type ValType,
} from "./types.ts";

/** The instruction families of a function, by the part of the mnemonic before the dot. */
export const FAMILIES = {
  i32: { ...I32, atomic: I32_ATOMIC },
  i64: { ...I64, atomic: I64_ATOMIC },
  f32: F32,
  f64: F64,
  v128: V128,
  i8x16: I8X16,
  i16x8: I16X8,
  i32x4: I32X4,
  i64x2: I64X2,
  f32x4: F32X4,
  f64x2: F64X2,
  memory: { ...MEMORY, atomic: MEMORY_ATOMIC },
  atomic: ATOMIC,
} as const;

type Families = typeof FAMILIES;

const i32Methods = methodsOf("i32", FAMILIES.i32);
const i64Methods = methodsOf("i64", FAMILIES.i64);
const f32Methods = methodsOf("f32", FAMILIES.f32);
const f64Methods = methodsOf("f64", FAMILIES.f64);
const v128Methods = methodsOf("v128", FAMILIES.v128);
const i8x16Methods = methodsOf("i8x16", FAMILIES.i8x16);
const i16x8Methods = methodsOf("i16x8", FAMILIES.i16x8);
const i32x4Methods = methodsOf("i32x4", FAMILIES.i32x4);
const i64x2Methods = methodsOf("i64x2", FAMILIES.i64x2);
const f32x4Methods = methodsOf("f32x4", FAMILIES.f32x4);
const f64x2Methods = methodsOf("f64x2", FAMILIES.f64x2);
const memoryMethods = methodsOf("memory", FAMILIES.memory);
const atomicMethods = methodsOf("atomic", FAMILIES.atomic);

/** A parameter or local variable of one function. */
export class Local<T extends ValType = ValType> {
  readonly builder: FuncBuilder;
  readonly index: number;
  readonly type: T;

  constructor(builder: FuncBuilder, index: number, type: T) {
    this.builder = builder;
    this.index = index;
    this.type = type;
  }

  /** `local.get` */
  get(): Val<T> {
    return this.builder.local.get(this);
  }

  /** `local.set` */
  set(value: Val<T>): void {
    this.builder.local.set(this, value);
  }

  /** `local.tee` */
  tee(value: Val<T>): Val<T> {
    return this.builder.local.tee(this, value);
  }
}

export type Locals<P extends readonly ValType[]> = { [I in keyof P]: Local<P[I]> };

/** `f.local(type)` declares a variable, zero until set, or set to `init`; the methods are the instructions. */
export interface LocalNamespace {
  <T extends ValType>(type: T, init?: Val<NoInfer<T>>): Local<T>;
  get<T extends ValType>(local: Local<T>): Val<T>;
  set<T extends ValType>(local: Local<T>, value: Val<NoInfer<T>>): void;
  tee<T extends ValType>(local: Local<T>, value: Val<NoInfer<T>>): Val<T>;
}

export interface GlobalNamespace {
  get<T extends ValType>(global: Global<T>): Val<T>;
  set<T extends ValType>(global: Global<T, true>, value: Val<NoInfer<T>>): void;
}

type Body<T extends ValType | null> = (label: Label<T>) => unknown;
type ValBody<T extends ValType> = (label: Label<T>) => Val<NoInfer<T>>;

/** What a function builder needs of its module. */
export interface FuncContext {
  typeIndex(params: readonly ValType[], results: readonly ValType[]): number;
}

export class FuncBuilder implements Emitter {
  readonly i32: Methods<Families["i32"]> = i32Methods(this);
  readonly i64: Methods<Families["i64"]> = i64Methods(this);
  readonly f32: Methods<Families["f32"]> = f32Methods(this);
  readonly f64: Methods<Families["f64"]> = f64Methods(this);
  readonly v128: Methods<Families["v128"]> = v128Methods(this);
  readonly i8x16: Methods<Families["i8x16"]> = i8x16Methods(this);
  readonly i16x8: Methods<Families["i16x8"]> = i16x8Methods(this);
  readonly i32x4: Methods<Families["i32x4"]> = i32x4Methods(this);
  readonly i64x2: Methods<Families["i64x2"]> = i64x2Methods(this);
  readonly f32x4: Methods<Families["f32x4"]> = f32x4Methods(this);
  readonly f64x2: Methods<Families["f64x2"]> = f64x2Methods(this);
  readonly memory: Methods<Families["memory"]> = memoryMethods(this);
  readonly atomic: Methods<Families["atomic"]> = atomicMethods(this);
  readonly local: LocalNamespace;
  readonly global: GlobalNamespace;

  readonly name: string;
  readonly #out = new ByteWriter(2048);
  readonly #stack: OperandStack;
  readonly #results: readonly ValType[];
  readonly #context: FuncContext;
  readonly #localTypes: ValType[] = [];
  readonly #nParams: number;

  constructor(name: string, params: readonly ValType[], results: readonly ValType[], context: FuncContext) {
    this.name = name;
    this.#results = results;
    this.#context = context;
    this.#stack = new OperandStack(name);
    this.#nParams = params.length;
    this.#localTypes.push(...params);
    this.local = this.#localNamespace();
    this.global = this.#globalNamespace();
  }

  /** The function's entry of the code section: size, local declarations, instructions, end. */
  static assemble<P extends readonly ValType[], R extends readonly ValType[]>(
    func: Func<P, R>,
    context: FuncContext,
    body: (f: FuncBuilder, ...params: Locals<P>) => ResultVal<R>,
  ): Uint8Array {
    const f = new FuncBuilder(func.name, func.params, func.results, context);
    const result = func.results[0] ?? null;
    const label = f.#stack.open("function", result, result);
    const params = func.params.map((type, index) => new Local(f, index, type)) as unknown as Locals<P>;
    f.#stack.close(label, body(f, ...params));
    f.#out.u8(0x0b);
    return f.#finish();
  }

  /** Groups runs of locals of one type, then appends the instructions. */
  #finish(): Uint8Array {
    const runs: { type: ValType; n: number }[] = [];
    for (const type of this.#localTypes.slice(this.#nParams)) {
      const last = runs[runs.length - 1];
      if (last?.type === type) last.n++;
      else runs.push({ type, n: 1 });
    }
    const declarations = new ByteWriter(5 + 6 * runs.length);
    declarations.u32(runs.length);
    for (const { type, n } of runs) {
      declarations.u32(n);
      declarations.u8(VAL_TYPE[type]);
    }
    const nBytes = declarations.length + this.#out.length;
    const out = new ByteWriter(nBytes + 5);
    out.u32(nBytes);
    out.bytes(declarations.view());
    out.bytes(this.#out.view());
    return out.view();
  }

  /** Emits one table instruction; the generated methods end here. */
  emit(instruction: Instruction, args: readonly unknown[]): Val | undefined {
    const { mnemonic, opcode, operands, result, writeImmediates } = instruction;
    const stack = this.#stack;
    for (let i = operands.length - 1; i >= 0; i--) {
      stack.pop(args[i] as Val | undefined, operands[i] as ValType, mnemonic, i + 1);
    }
    const out = this.#out;
    if (opcode <= 0xff) {
      out.u8(opcode);
    } else {
      out.u8(opcode >>> 16);
      out.u32(opcode & 0xffff);
    }
    if (writeImmediates !== null) {
      try {
        writeImmediates(out, args, operands.length);
      } catch (cause) {
        stack.fail(mnemonic, (cause as Error).message);
      }
    }
    return result === null ? undefined : stack.push(result, mnemonic);
  }

  #localNamespace(): LocalNamespace {
    const stack = this.#stack;
    const out = this.#out;
    const write = (opcode: number, mnemonic: string, local: Local) => {
      if (local.builder !== this) stack.fail(mnemonic, `the local belongs to function '${local.builder.name}'`);
      out.u8(opcode);
      out.u32(local.index);
    };
    const set = (local: Local, value: Val) => {
      stack.pop(value, local.type, "local.set", 1);
      write(0x21, "local.set", local);
    };
    const declare = <T extends ValType>(type: T, init?: Val<T>): Local<T> => {
      const local = new Local(this, this.#localTypes.push(type) - 1, type);
      if (init !== undefined) set(local, init);
      return local;
    };
    return Object.assign(declare, {
      get: <T extends ValType>(local: Local<T>): Val<T> => {
        write(0x20, "local.get", local);
        return stack.push(local.type, "local.get");
      },
      set,
      tee: <T extends ValType>(local: Local<T>, value: Val<T>): Val<T> => {
        stack.pop(value, local.type, "local.tee", 1);
        write(0x22, "local.tee", local);
        return stack.push(local.type, "local.tee");
      },
    });
  }

  #globalNamespace(): GlobalNamespace {
    return {
      get: (global) => {
        this.#out.u8(0x23);
        this.#out.u32(global.index);
        return this.#stack.push(global.type, "global.get");
      },
      set: (global, value) => {
        if (!global.mutable) this.#stack.fail("global.set", `global ${global.index} is immutable`);
        this.#stack.pop(value, global.type, "global.set", 1);
        this.#out.u8(0x24);
        this.#out.u32(global.index);
      },
    };
  }

  // --- control ------------------------------------------------------------------------------------------------------------

  #open<T extends ValType | null>(kind: string, opcode: number, branchType: T, result: ValType | null): Label<T> {
    this.#out.u8(opcode);
    this.#out.u8(result === null ? 0x40 : VAL_TYPE[result]);
    return this.#stack.open(kind, branchType, result);
  }

  #close(label: Label, result: unknown): Val | undefined {
    this.#stack.close(label, result);
    this.#out.u8(0x0b);
    return label.resultType === null ? undefined : this.#stack.push(label.resultType, label.kind);
  }

  /** A block whose label is its end: `f.br(label)` leaves it. With a type, the body returns the block's value. */
  block(body: Body<null>): void;
  block<T extends ValType>(result: T, body: ValBody<T>): Val<T>;
  block(first: ValType | Body<null>, body?: Body<ValType>): Val | undefined {
    const result = typeof first === "string" ? first : null;
    const label = this.#open<ValType | null>("block", 0x02, result, result);
    return this.#close(label, ((body ?? first) as Body<ValType | null>)(label));
  }

  /** A block whose label is its start: `f.br(label)` repeats it; without a branch it runs once. */
  loop(body: Body<null>): void;
  loop<T extends ValType>(result: T, body: (label: Label<null>) => Val<NoInfer<T>>): Val<T>;
  loop(first: ValType | Body<null>, body?: Body<null>): Val | undefined {
    const label = this.#open("loop", 0x03, null, typeof first === "string" ? first : null);
    return this.#close(label, ((body ?? first) as Body<null>)(label));
  }

  /** `if (condition) then() else otherwise()`; the label is the end. With a type, both arms return the value. */
  if(condition: Val<"i32">, then: Body<null>, otherwise?: Body<null>): void;
  if<T extends ValType>(result: T, condition: Val<"i32">, then: ValBody<T>, otherwise: ValBody<T>): Val<T>;
  if(first: ValType | Val<"i32">, ...rest: unknown[]): Val | undefined {
    const result = typeof first === "string" ? first : null;
    const [condition, then, otherwise] = (typeof first === "string" ? rest : [first, ...rest]) as [
      Val<"i32">,
      Body<ValType | null>,
      Body<ValType | null> | undefined,
    ];
    this.#stack.pop(condition, "i32", "if", 1);
    const label = this.#open<ValType | null>("if", 0x04, result, result);
    const thenResult = then(label);
    if (otherwise === undefined) return this.#close(label, thenResult);
    this.#stack.close(label, thenResult);
    this.#out.u8(0x05);
    const elseLabel = this.#stack.open<ValType | null>("else", result, result);
    return this.#close(elseLabel, otherwise(elseLabel));
  }

  /** Repeats `body` while `condition()` is not zero; tested before each round. `condition` emits inside the loop. */
  while(condition: () => Val<"i32">, body: () => unknown): void {
    this.loop((again) => {
      this.if(condition(), () => {
        body();
        this.br(again);
      });
    });
  }

  #popBranchValue(label: Label, value: Val | undefined, mnemonic: string): void {
    if (label.branchType !== null) this.#stack.pop(value, label.branchType, mnemonic, 1);
    else if (value !== undefined) this.#stack.fail(mnemonic, `its target, a ${label.kind}, takes no value`);
  }

  /** Branches to `label`; what follows in the block is dead code. */
  br(label: Label<null>): Val<never>;
  br<T extends ValType>(label: Label<T>, value: Val<NoInfer<T>>): Val<never>;
  br(label: Label, value?: Val): Val<never> {
    this.#popBranchValue(label, value, "br");
    this.#out.u8(0x0c);
    this.#out.u32(this.#stack.depthOf(label, "br"));
    return this.#stack.markUnreachable();
  }

  /** Branches to `label` if the condition is not zero; otherwise the value, if any, stays. */
  br_if(label: Label<null>, condition: Val<"i32">): void;
  br_if<T extends ValType>(label: Label<T>, value: Val<NoInfer<T>>, condition: Val<"i32">): Val<T>;
  br_if(label: Label, ...operands: Val[]): Val | undefined {
    this.#stack.pop(operands.pop(), "i32", "br_if", label.branchType === null ? 1 : 2);
    this.#popBranchValue(label, operands[0], "br_if");
    this.#out.u8(0x0d);
    this.#out.u32(this.#stack.depthOf(label, "br_if"));
    return label.branchType === null ? undefined : this.#stack.push(label.branchType, "br_if");
  }

  /** Branches to `labels[index]`, or to `otherwise` when index is not below their number (unsigned). */
  br_table(labels: readonly Label<null>[], otherwise: Label<null>, index: Val<"i32">): Val<never> {
    this.#stack.pop(index, "i32", "br_table", 1);
    for (const label of [...labels, otherwise]) this.#popBranchValue(label, undefined, "br_table");
    this.#out.u8(0x0e);
    this.#out.u32(labels.length);
    for (const label of [...labels, otherwise]) this.#out.u32(this.#stack.depthOf(label, "br_table"));
    return this.#stack.markUnreachable();
  }

  /** Leaves the function, with its result if it has one. */
  return(value?: Val): Val<never> {
    const [result] = this.#results;
    if (result !== undefined) this.#stack.pop(value, result, "return", 1);
    else if (value !== undefined) this.#stack.fail("return", "the function has no result");
    this.#out.u8(0x0f);
    return this.#stack.markUnreachable();
  }

  /** Traps. */
  unreachable(): Val<never> {
    this.#out.u8(0x00);
    return this.#stack.markUnreachable();
  }

  nop(): void {
    this.#out.u8(0x01);
  }

  drop(value: Val): void {
    this.#stack.pop(value, value.type, "drop", 1);
    this.#out.u8(0x1a);
  }

  /** `a` if the condition is not zero, else `b`; both are evaluated. */
  select<T extends ValType>(a: Val<T>, b: Val<NoInfer<T>>, condition: Val<"i32">): Val<T> {
    this.#stack.pop(condition, "i32", "select", 3);
    this.#stack.pop(b, a.type, "select", 2);
    this.#stack.pop(a, a.type, "select", 1);
    this.#out.u8(0x1b);
    return this.#stack.push(a.type, "select");
  }

  #popArguments(params: readonly ValType[], args: readonly Val[], mnemonic: string): void {
    if (args.length !== params.length) this.#stack.fail(mnemonic, `expected ${params.length} arguments, found ${args.length}`);
    for (let i = params.length - 1; i >= 0; i--) this.#stack.pop(args[i], params[i] as ValType, mnemonic, i + 1);
  }

  call<P extends readonly ValType[], R extends readonly ValType[]>(func: Func<P, R>, ...args: Vals<P>): ResultVal<R> {
    const mnemonic = `call '${func.name}'`;
    this.#popArguments(func.params, args, mnemonic);
    this.#out.u8(0x10);
    this.#out.u32(func.index);
    const [result] = func.results;
    return (result === undefined ? undefined : this.#stack.push(result, mnemonic)) as ResultVal<R>;
  }

  /** Calls the function at an index of the table; the operands are the arguments, then the index. */
  call_indirect<const P extends readonly ValType[] = [], const R extends readonly ValType[] = []>(
    table: Table,
    type: FuncType<P, R>,
    ...operands: [...Vals<P>, index: Val<"i32">]
  ): ResultVal<R> {
    const { params = [], results = [] } = type;
    const vals = operands as unknown as Val[];
    this.#popArguments([...params, "i32"], vals, "call_indirect");
    this.#out.u8(0x11);
    this.#out.u32(this.#context.typeIndex(params, results));
    this.#out.u32(table.index);
    const [result] = results;
    return (result === undefined ? undefined : this.#stack.push(result, "call_indirect")) as ResultVal<R>;
  }
}
