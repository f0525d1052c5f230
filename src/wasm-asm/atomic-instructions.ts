/**
 * Atomic instructions, one row each: opcode, type, immediates. They read `f.i32.atomic.rmw.add(...)` for `i32.atomic.rmw.add`.
 * Source: WebAssembly threads proposal, "Atomics: binary encoding" (WebAssembly/threads, proposals/threads/Overview.md).
 */
import type { InstructionTable } from "./methods.ts";

/** Address, then: notify (count), wait (expected, timeout in ns or -1). */
export const MEMORY_ATOMIC = {
  notify: [0xfe_0000, "i32 i32 -> i32", "atomic32"],
  wait32: [0xfe_0001, "i32 i32 i64 -> i32", "atomic32"],
  wait64: [0xfe_0002, "i32 i64 i64 -> i32", "atomic64"],
} as const satisfies InstructionTable;

export const ATOMIC = {
  fence: [0xfe_0003, "->", "zero"],
} as const satisfies InstructionTable;

export const I32_ATOMIC = {
  load: [0xfe_0010, "i32 -> i32", "atomic32"],
  load8_u: [0xfe_0012, "i32 -> i32", "atomic8"],
  load16_u: [0xfe_0013, "i32 -> i32", "atomic16"],
  store: [0xfe_0017, "i32 i32 ->", "atomic32"],
  store8: [0xfe_0019, "i32 i32 ->", "atomic8"],
  store16: [0xfe_001a, "i32 i32 ->", "atomic16"],
  rmw: {
    add: [0xfe_001e, "i32 i32 -> i32", "atomic32"],
    sub: [0xfe_0025, "i32 i32 -> i32", "atomic32"],
    and: [0xfe_002c, "i32 i32 -> i32", "atomic32"],
    or: [0xfe_0033, "i32 i32 -> i32", "atomic32"],
    xor: [0xfe_003a, "i32 i32 -> i32", "atomic32"],
    xchg: [0xfe_0041, "i32 i32 -> i32", "atomic32"],
    cmpxchg: [0xfe_0048, "i32 i32 i32 -> i32", "atomic32"],
  },
  rmw8: {
    add_u: [0xfe_0020, "i32 i32 -> i32", "atomic8"],
    sub_u: [0xfe_0027, "i32 i32 -> i32", "atomic8"],
    and_u: [0xfe_002e, "i32 i32 -> i32", "atomic8"],
    or_u: [0xfe_0035, "i32 i32 -> i32", "atomic8"],
    xor_u: [0xfe_003c, "i32 i32 -> i32", "atomic8"],
    xchg_u: [0xfe_0043, "i32 i32 -> i32", "atomic8"],
    cmpxchg_u: [0xfe_004a, "i32 i32 i32 -> i32", "atomic8"],
  },
  rmw16: {
    add_u: [0xfe_0021, "i32 i32 -> i32", "atomic16"],
    sub_u: [0xfe_0028, "i32 i32 -> i32", "atomic16"],
    and_u: [0xfe_002f, "i32 i32 -> i32", "atomic16"],
    or_u: [0xfe_0036, "i32 i32 -> i32", "atomic16"],
    xor_u: [0xfe_003d, "i32 i32 -> i32", "atomic16"],
    xchg_u: [0xfe_0044, "i32 i32 -> i32", "atomic16"],
    cmpxchg_u: [0xfe_004b, "i32 i32 i32 -> i32", "atomic16"],
  },
} as const satisfies InstructionTable;

export const I64_ATOMIC = {
  load: [0xfe_0011, "i32 -> i64", "atomic64"],
  load8_u: [0xfe_0014, "i32 -> i64", "atomic8"],
  load16_u: [0xfe_0015, "i32 -> i64", "atomic16"],
  load32_u: [0xfe_0016, "i32 -> i64", "atomic32"],
  store: [0xfe_0018, "i32 i64 ->", "atomic64"],
  store8: [0xfe_001b, "i32 i64 ->", "atomic8"],
  store16: [0xfe_001c, "i32 i64 ->", "atomic16"],
  store32: [0xfe_001d, "i32 i64 ->", "atomic32"],
  rmw: {
    add: [0xfe_001f, "i32 i64 -> i64", "atomic64"],
    sub: [0xfe_0026, "i32 i64 -> i64", "atomic64"],
    and: [0xfe_002d, "i32 i64 -> i64", "atomic64"],
    or: [0xfe_0034, "i32 i64 -> i64", "atomic64"],
    xor: [0xfe_003b, "i32 i64 -> i64", "atomic64"],
    xchg: [0xfe_0042, "i32 i64 -> i64", "atomic64"],
    cmpxchg: [0xfe_0049, "i32 i64 i64 -> i64", "atomic64"],
  },
  rmw8: {
    add_u: [0xfe_0022, "i32 i64 -> i64", "atomic8"],
    sub_u: [0xfe_0029, "i32 i64 -> i64", "atomic8"],
    and_u: [0xfe_0030, "i32 i64 -> i64", "atomic8"],
    or_u: [0xfe_0037, "i32 i64 -> i64", "atomic8"],
    xor_u: [0xfe_003e, "i32 i64 -> i64", "atomic8"],
    xchg_u: [0xfe_0045, "i32 i64 -> i64", "atomic8"],
    cmpxchg_u: [0xfe_004c, "i32 i64 i64 -> i64", "atomic8"],
  },
  rmw16: {
    add_u: [0xfe_0023, "i32 i64 -> i64", "atomic16"],
    sub_u: [0xfe_002a, "i32 i64 -> i64", "atomic16"],
    and_u: [0xfe_0031, "i32 i64 -> i64", "atomic16"],
    or_u: [0xfe_0038, "i32 i64 -> i64", "atomic16"],
    xor_u: [0xfe_003f, "i32 i64 -> i64", "atomic16"],
    xchg_u: [0xfe_0046, "i32 i64 -> i64", "atomic16"],
    cmpxchg_u: [0xfe_004d, "i32 i64 i64 -> i64", "atomic16"],
  },
  rmw32: {
    add_u: [0xfe_0024, "i32 i64 -> i64", "atomic32"],
    sub_u: [0xfe_002b, "i32 i64 -> i64", "atomic32"],
    and_u: [0xfe_0032, "i32 i64 -> i64", "atomic32"],
    or_u: [0xfe_0039, "i32 i64 -> i64", "atomic32"],
    xor_u: [0xfe_0040, "i32 i64 -> i64", "atomic32"],
    xchg_u: [0xfe_0047, "i32 i64 -> i64", "atomic32"],
    cmpxchg_u: [0xfe_004e, "i32 i64 i64 -> i64", "atomic32"],
  },
} as const satisfies InstructionTable;
