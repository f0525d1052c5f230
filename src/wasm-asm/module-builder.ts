/**
 * Builds one WebAssembly module: imports, functions, globals, one memory, tables, data, and the bytes.
 * Source: WebAssembly core specification 3.0, §5.5 (WebAssembly/spec@wg-3.0); threads proposal for shared memories.
 * Left out: several memories, passive segments, references other than tables of functions.
 *
 *     const m = new ModuleBuilder();
 *     m.importMemory("env", "memory", { initial: 1, maximum: 65536, shared: true });
 *     m.func("sum", { params: ["i32", "i32"], results: ["i32"], export: true }, (f, x, n) => {
 *       const sum = f.local("i32");
 *       const end = f.local("i32", f.i32.add(x.get(), f.i32.shl(n.get(), f.i32.const(2))));
 *       f.while(() => f.i32.lt_u(x.get(), end.get()), () => {
 *         sum.set(f.i32.add(sum.get(), f.i32.load(x.get())));
 *         x.set(f.i32.add(x.get(), f.i32.const(4)));
 *       });
 *       return sum.get();
 *     });
 *     const instance = new WebAssembly.Instance(new WebAssembly.Module(m.build()), { env: { memory } });
 */
import { ByteWriter } from "./byte-writer.ts";
import { FuncBuilder, type Locals } from "./func-builder.ts";
import { vectorBytes } from "./immediates.ts";
import { Func, type FuncType, Global, type ResultVal, Table, VAL_TYPE, type ValType } from "./types.ts";

/** Sizes in pages of 64 KiB, at most 65536. */
export interface MemoryType {
  readonly initial: number;
  /** Required when shared. */
  readonly maximum?: number;
  readonly shared?: boolean;
}

export interface FuncOptions<P extends readonly ValType[], R extends readonly ValType[]> extends FuncType<P, R> {
  /** True exports under the function's name, a string under that name. */
  readonly export?: boolean | string;
}

export interface GlobalOptions<T extends ValType, M extends boolean> {
  /** Default false. */
  readonly mutable?: M;
  /** Initial value, for v128 its 16 bytes; default 0. */
  readonly init?: T extends "v128" ? ArrayLike<number> : T extends "i64" ? bigint | number : number;
  readonly export?: string;
}

export type FuncBody<P extends readonly ValType[], R extends readonly ValType[]> = (
  f: FuncBuilder,
  ...params: Locals<P>
) => ResultVal<R>;

const EXTERN = { func: 0, table: 1, memory: 2, global: 3 } as const;
const FUNCREF = 0x70;

export class ModuleBuilder {
  readonly #name: string | undefined;
  readonly #types = new Map<string, number>();
  readonly #typeBytes: Uint8Array[] = [];
  readonly #imports: Uint8Array[] = [];
  readonly #exports = new Map<string, Uint8Array>();
  readonly #funcs: Func[] = [];
  /** By function index; missing for imports and functions that are only declared. */
  readonly #bodies: Uint8Array[] = [];
  readonly #tables: (readonly Func[])[] = [];
  readonly #globals: Uint8Array[] = [];
  readonly #data: Uint8Array[] = [];
  #nImportedFuncs = 0;
  #nImportedGlobals = 0;
  #memory: { isImported: boolean; type: Uint8Array } | null = null;
  #start: Func | null = null;

  /** @param name - For profiles and traces. */
  constructor(name?: string) {
    this.#name = name;
  }

  #fail(problem: string): never {
    throw new Error(`wasm-asm: module: ${problem}`);
  }

  /** Index of a function type, added when new. */
  typeIndex(params: readonly ValType[], results: readonly ValType[]): number {
    if (results.length > 1) this.#fail(`${results.length} results; at most one is supported`);
    const key = `${params} -> ${results}`;
    const known = this.#types.get(key);
    if (known !== undefined) return known;
    const bytes = encode((out) => {
      out.u8(0x60);
      out.sized(params.map((type) => VAL_TYPE[type]));
      out.sized(results.map((type) => VAL_TYPE[type]));
    });
    const index = this.#typeBytes.push(bytes) - 1;
    this.#types.set(key, index);
    return index;
  }

  #import(module: string, name: string, write: (out: ByteWriter) => void): void {
    this.#imports.push(
      encode((out) => {
        out.name(module);
        out.name(name);
        write(out);
      }),
    );
  }

  #export(name: string, kind: number, index: number): void {
    if (this.#exports.has(name)) this.#fail(`export '${name}' exists already`);
    this.#exports.set(
      name,
      encode((out) => {
        out.name(name);
        out.u8(kind);
        out.u32(index);
      }),
    );
  }

  #addFunc<P extends readonly ValType[], R extends readonly ValType[]>(name: string, options: FuncOptions<P, R>): Func<P, R> {
    const params = options.params ?? ([] as readonly ValType[] as P);
    const results = options.results ?? ([] as readonly ValType[] as R);
    const func = new Func(name, this.#funcs.length, this.typeIndex(params, results), params, results);
    this.#funcs.push(func as unknown as Func);
    if (options.export) this.#export(options.export === true ? name : options.export, EXTERN.func, func.index);
    return func;
  }

  /** Imports a function; all imports of functions come before the first function. */
  importFunc<const P extends readonly ValType[] = [], const R extends readonly ValType[] = []>(
    module: string,
    name: string,
    options: FuncOptions<P, R>,
  ): Func<P, R> {
    if (this.#funcs.length > this.#nImportedFuncs) this.#fail(`import of function '${name}' after the first function`);
    const func = this.#addFunc(name, options);
    this.#nImportedFuncs++;
    this.#import(module, name, (out) => {
      out.u8(EXTERN.func);
      out.u32(func.typeIndex);
    });
    return func;
  }

  /** A function whose body `define` writes later: for recursion and calls ahead. */
  declare<const P extends readonly ValType[] = [], const R extends readonly ValType[] = []>(
    name: string,
    options: FuncOptions<P, R>,
  ): Func<P, R> {
    return this.#addFunc(name, options);
  }

  /** Writes the body of a declared function. @throws Error naming function and instruction when the operands do not fit. */
  define<P extends readonly ValType[], R extends readonly ValType[]>(func: Func<P, R>, body: FuncBody<P, R>): void {
    if ((this.#funcs[func.index] as unknown) !== func) this.#fail(`function '${func.name}' is of another module`);
    if (func.index < this.#nImportedFuncs) this.#fail(`function '${func.name}' is imported`);
    if (this.#bodies[func.index] !== undefined) this.#fail(`function '${func.name}' has a body already`);
    this.#bodies[func.index] = FuncBuilder.assemble(func, this, body);
  }

  /** Declares and defines a function; the body gets the emitter and one Local per parameter, and returns the result. */
  func<const P extends readonly ValType[] = [], const R extends readonly ValType[] = []>(
    name: string,
    options: FuncOptions<P, R>,
    body: FuncBody<P, R>,
  ): Func<P, R> {
    const func = this.#addFunc(name, options);
    this.define(func, body);
    return func;
  }

  /** Runs `func` (no parameters, no result) at instantiation. */
  start(func: Func<readonly [], readonly []>): void {
    this.#start = func as unknown as Func;
  }

  #setMemory(isImported: boolean, { initial, maximum, shared = false }: MemoryType): Uint8Array {
    if (this.#memory !== null) this.#fail("a second memory");
    if (shared && maximum === undefined) this.#fail("a shared memory needs a maximum");
    if (initial > 65536 || (maximum ?? 0) > 65536 || initial > (maximum ?? initial)) {
      this.#fail(`memory of ${initial}..${maximum} pages; at most 65536`);
    }
    const type = encode((out) => {
      out.u8((shared ? 2 : 0) | (maximum === undefined ? 0 : 1));
      out.u32(initial);
      if (maximum !== undefined) out.u32(maximum);
    });
    this.#memory = { isImported, type };
    return type;
  }

  importMemory(module: string, name: string, memory: MemoryType): void {
    const type = this.#setMemory(true, memory);
    this.#import(module, name, (out) => {
      out.u8(EXTERN.memory);
      out.bytes(type);
    });
  }

  /** The module's own memory. */
  memory(memory: MemoryType & { readonly export?: string }): void {
    this.#setMemory(false, memory);
    if (memory.export !== undefined) this.#export(memory.export, EXTERN.memory, 0);
  }

  importGlobal<T extends ValType, M extends boolean = false>(
    module: string,
    name: string,
    type: T,
    options: { readonly mutable?: M } = {},
  ): Global<T, M> {
    if (this.#globals.length > 0) this.#fail(`import of global '${name}' after the first global`);
    const mutable = (options.mutable ?? false) as M;
    this.#import(module, name, (out) => {
      out.u8(EXTERN.global);
      out.u8(VAL_TYPE[type]);
      out.u8(mutable ? 1 : 0);
    });
    return new Global(this.#nImportedGlobals++, type, mutable);
  }

  global<T extends ValType, M extends boolean = false>(type: T, options: GlobalOptions<T, M> = {}): Global<T, M> {
    const mutable = (options.mutable ?? false) as M;
    const bytes = encode((out) => {
      out.u8(VAL_TYPE[type]);
      out.u8(mutable ? 1 : 0);
      writeConstant(out, type, options.init ?? 0);
      out.u8(0x0b);
    });
    const index = this.#nImportedGlobals + this.#globals.push(bytes) - 1;
    if (options.export !== undefined) this.#export(options.export, EXTERN.global, index);
    return new Global(index, type, mutable);
  }

  /** A fixed table of functions. */
  table(funcs: readonly { readonly index: number }[], options: { readonly export?: string } = {}): Table {
    const index = this.#tables.push(funcs as readonly Func[]) - 1;
    if (options.export !== undefined) this.#export(options.export, EXTERN.table, index);
    return new Table(index);
  }

  /** Bytes copied to `offset` at every instantiation (also when the memory is shared with running instances). */
  data(offset: number, bytes: Uint8Array): void {
    this.#data.push(
      encode((out) => {
        out.u8(0);
        out.u8(0x41);
        out.s32(offset);
        out.u8(0x0b);
        out.sized(bytes);
      }),
    );
  }

  /** The module's bytes. @throws Error if a declared function has no body. */
  build(): Uint8Array<ArrayBuffer> {
    const local = this.#funcs.slice(this.#nImportedFuncs);
    const bodies = local.map((func) => {
      const body = this.#bodies[func.index] ?? this.#fail(`function '${func.name}' is declared but has no body`);
      return body;
    });
    const out = new ByteWriter(1024 + bodies.reduce((sum, body) => sum + body.length + 16, 0));
    out.bytes([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]); // magic, version 1
    writeSection(out, 1, this.#typeBytes);
    writeSection(out, 2, this.#imports);
    writeSection(
      out,
      3,
      local.map((func) => encode((item) => item.u32(func.typeIndex))),
    );
    writeSection(
      out,
      4,
      this.#tables.map((funcs) =>
        encode((item) => {
          item.bytes([FUNCREF, 1]);
          item.u32(funcs.length);
          item.u32(funcs.length);
        }),
      ),
    );
    writeSection(out, 5, this.#memory === null || this.#memory.isImported ? [] : [this.#memory.type]);
    writeSection(out, 6, this.#globals);
    writeSection(out, 7, [...this.#exports.values()]);
    if (this.#start !== null) {
      const { index } = this.#start;
      out.u8(8);
      out.sized(encode((item) => item.u32(index)));
    }
    writeSection(
      out,
      9,
      this.#tables.map((funcs, table) =>
        encode((item) => {
          item.u8(2); // active, with a table index
          item.u32(table);
          item.bytes([0x41, 0x00, 0x0b, 0x00]); // i32.const 0, end; functions
          item.u32(funcs.length);
          for (const func of funcs) item.u32(func.index);
        }),
      ),
    );
    writeSection(out, 10, bodies);
    writeSection(out, 11, this.#data);
    this.#writeNames(out);
    return new Uint8Array(out.view());
  }

  /** The custom section that names module and functions in profiles. */
  #writeNames(out: ByteWriter): void {
    out.u8(0);
    out.sized(
      encode((section) => {
        section.name("name");
        const moduleName = this.#name;
        if (moduleName !== undefined) {
          section.u8(0);
          section.sized(encode((item) => item.name(moduleName)));
        }
        section.u8(1);
        section.sized(
          encode((map) => {
            map.u32(this.#funcs.length);
            for (const func of this.#funcs) {
              map.u32(func.index);
              map.name(func.name);
            }
          }),
        );
      }),
    );
  }
}

function encode(write: (out: ByteWriter) => void, capacity = 32): Uint8Array {
  const out = new ByteWriter(capacity);
  write(out);
  return out.view();
}

/** A section that is a vector of items; an empty one is left out. */
function writeSection(out: ByteWriter, id: number, items: readonly Uint8Array[]): void {
  if (items.length === 0) return;
  const content = new ByteWriter(items.reduce((sum, item) => sum + item.length, 5));
  content.u32(items.length);
  for (const item of items) content.bytes(item);
  out.u8(id);
  out.sized(content.view());
}

function writeConstant(out: ByteWriter, type: ValType, value: number | bigint | ArrayLike<number>): void {
  switch (type) {
    case "i32":
      out.u8(0x41);
      out.s32(value as number);
      break;
    case "i64":
      out.u8(0x42);
      out.s64(value as number | bigint);
      break;
    case "f32":
      out.u8(0x43);
      out.f32(value as number);
      break;
    case "f64":
      out.u8(0x44);
      out.f64(value as number);
      break;
    case "v128":
      out.bytes([0xfd, 0x0c]);
      out.bytes(vectorBytes("i8x16", value as number | ArrayLike<number>));
  }
}
