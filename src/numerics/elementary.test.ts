import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as elementary from "./elementary.ts";

/**
 * Correctly rounded results: mpmath (400 bits of precision), rounded once to f64, big-endian bits in hexadecimal; the argument is
 * the f64 nearest to the literal. Made in Python by `struct.pack(">d", float(mpmath.exp(mpf(x)))).hex()` and its like.
 */
const golden: Readonly<Record<"exp" | "log" | "sin" | "cos" | "tanh", readonly (readonly [number, string])[]>> & {
  readonly pow: readonly (readonly [number, number, string])[];
} = {
  exp: [
    [0.5, "3ffa61298e1e069c"],
    [1.0, "4005bf0a8b145769"],
    [-1.0, "3fd78b56362cef38"],
    [0.3465, "3ff6a03146cf6ead"],
    [10.5, "40e1bb7015e84d3b"],
    [-10.5, "3efcdfc263f6a0ba"],
    [709.5, "7fe81e9b4b52d0c9"],
    [-708.25, "001285dc1b5961f1"],
    [-740.5, "0000000000000033"],
    [1e-10, "3ff000000006df38"],
    [88.72, "47efe8c665382968"],
    [-103.9, "36913220ab08c519"],
  ],
  log: [
    [0.1, "c0026bb1bbb55515"],
    [0.5, "bfe62e42fefa39ef"],
    [0.71, "bfd5eb5c7907e4ca"],
    [1.4143, "3fd62f4358c03e8a"],
    [2.0, "3fe62e42fefa39ef"],
    [10.0, "40026bb1bbb55516"],
    [1.0000001, "3e7ad7f2847b6492"],
    [0.9999999, "be7ad7f2b1049b9f"],
    [5e-324, "c0874385446d71c3"],
    [1e-310, "c0864e69394d9508"],
    [1.7e308, "40862dd08fdc6f88"],
    [12345.678, "4022d79559791e31"],
  ],
  sin: [
    [0.5, "3fdeaee8744b05f0"],
    [1.0, "3feaed548f090cee"],
    [3.125, "3f90fd770a03e5aa"],
    [22.0, "bf8220a29f6eb9f4"],
    [355.0, "beff9bd0307d1de3"],
    [100000.0, "3fa24daa9c527e96"],
    [999999.5, "bfe833357b1489f3"],
    [-1234.5678, "bfb3fa00084ee3dd"],
    [1e-9, "3e112e0be826d695"],
    [1570796.3267948965, "bddeacd7c60e9693"],
  ],
  cos: [
    [0.5, "3fec1528065b7d50"],
    [1.0, "3fe14a280fb5068c"],
    [1.5707963267948966, "3c91a62633145c07"],
    [11.0, "3f7220ae41ee2fdf"],
    [355.0, "bfefffffffc18e4c"],
    [100000.0, "bfeffac3841b3da7"],
    [999999.5, "3fe4efdfc640fc4d"],
    [-1234.5678, "bfefe7053dc31387"],
    [1e-9, "3ff0000000000000"],
    [1570796.3267948965, "3ff0000000000000"],
  ],
  tanh: [
    [0.001, "3f50624d77516ce2"],
    [0.1, "3fb983d7795f413a"],
    [0.2, "3fc9439830b3a590"],
    [0.5, "3fdd9353d7568af3"],
    [1.0, "3fe85efab514f394"],
    [5.0, "3fefff419668df11"],
    [15.0, "3feffffffffff96a"],
    [-0.75, "bfe45323e552f228"],
    [1e-12, "3d719799812dea11"],
    [21.5, "3ff0000000000000"],
  ],
  pow: [
    [10000.0, -0.015625, "3febb5fad00ab22c"],
    [10000.0, -0.984375, "3f1e459c57e28a47"],
    [500000.0, -0.984375, "3ec4985fec80a8cb"],
    [2.0, 0.5, "3ff6a09e667f3bcd"],
    [1.0000001, 100000000.0, "40d5829d1d3f9926"],
    [0.3, 500.5, "0999159d0e2fdb83"],
    [1.5, -1700.25, "01c55eb1aa9af25e"],
    [10.0, 308.0, "7fe1ccf385ebc8a0"],
    [10.0, -320.0, "00000000000007e8"],
    [7.0, 3.0, "4075700000000000"],
    [1000000.0, -0.03125, "3fe4c7bbfcc7c63c"],
    [0.999999999, 700000000000.0, "00d14f411f4f3fa3"],
  ],
};

const view = new DataView(new ArrayBuffer(8));

function fromBits(hex: string): number {
  view.setBigUint64(0, BigInt(`0x${hex}`));
  return view.getFloat64(0);
}

/** Bits of |x| as an integer: neighbours of one sign differ by 1. */
function ordinal(x: number): bigint {
  view.setFloat64(0, x);
  return view.getBigInt64(0);
}

function ulps(a: number, b: number): number {
  return Math.abs(Number(ordinal(a) - ordinal(b)));
}

function relativeError(got: number, want: number): number {
  return got === want ? 0 : Math.abs((got - want) / want);
}

const functions = { exp: elementary.exp, log: elementary.log, sin: elementary.sin, cos: elementary.cos, tanh: elementary.tanh };

describe("elementary functions against correctly rounded values", () => {
  for (const name of ["exp", "log", "sin", "cos", "tanh"] as const) {
    it.each(golden[name])(`${name}(%s) is within 1 ulp`, (x, bits) => {
      expect(ulps(functions[name](x), fromBits(bits))).toBeLessThanOrEqual(1);
    });
  }
  it.each(golden.pow)("pow(%s, %s) is within 1 ulp", (x, y, bits) => {
    expect(ulps(elementary.pow(x, y), fromBits(bits))).toBeLessThanOrEqual(1);
  });
});

// Math.* of V8 is itself within an ulp (2.3e-16 relative), hence the bounds below are the stated ones plus that.
describe("elementary functions against Math", () => {
  const runs = { numRuns: 20_000, seed: 1 };
  const within = (lo: number, hi: number) => fc.double({ min: lo, max: hi, noNaN: true });
  it("exp", () => {
    fc.assert(
      fc.property(within(-708, 709.7), (x) => relativeError(elementary.exp(x), Math.exp(x)) <= 6.5e-16),
      runs,
    );
  });
  it("log, of any positive number", () => {
    fc.assert(
      fc.property(within(5e-324, 1.7e308), (x) => relativeError(elementary.log(x), Math.log(x)) <= 6.5e-16),
      runs,
    );
    fc.assert(
      fc.property(within(0.5, 2), (x) => relativeError(elementary.log(x), Math.log(x)) <= 6.5e-16),
      runs,
    );
  });
  it("tanh", () => {
    fc.assert(
      fc.property(within(-25, 25), (x) => relativeError(elementary.tanh(x), Math.tanh(x)) <= 1e-15),
      runs,
    );
  });
  it("sin and cos, absolute, to MAX_ANGLE", () => {
    for (const range of [within(-elementary.MAX_ANGLE, elementary.MAX_ANGLE), within(-10, 10)]) {
      fc.assert(
        fc.property(range, (x) => Math.abs(elementary.sin(x) - Math.sin(x)) <= 4.5e-16),
        runs,
      );
      fc.assert(
        fc.property(range, (x) => Math.abs(elementary.cos(x) - Math.cos(x)) <= 4.5e-16),
        runs,
      );
    }
  });
  it("sin of multiples of π/2, where the reduction cancels most", () => {
    for (let n = 1; n < 1_000_000; n += 997) {
      const x = (n * Math.PI) / 2;
      expect(Math.abs(elementary.sin(x) - Math.sin(x))).toBeLessThanOrEqual(4.5e-16);
      expect(Math.abs(elementary.cos(x) - Math.cos(x))).toBeLessThanOrEqual(4.5e-16);
    }
  });
  it("pow, against powers that are exact", () => {
    for (let base = 2; base <= 40; base++) {
      let exact = 1n;
      for (let n = 1; n <= 190; n++) {
        exact *= BigInt(base);
        expect(relativeError(elementary.pow(base, n), Number(exact))).toBeLessThanOrEqual(4e-16);
      }
    }
  });
  it("pow, special cases as Math.pow", () => {
    const values = [0, -0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1e308, -1e308, 5e-324, -5e-324, 2 ** 53, 1e300, -1e300];
    const all = [...values, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
    for (const x of all) {
      for (const y of all) {
        const want = x ** y;
        const got = elementary.pow(x, y);
        const isSame = Object.is(got, want) || relativeError(got, want) <= 4e-16;
        expect(isSame, `pow(${x}, ${y}) is ${got}; must be ${want}`).toBe(true);
      }
    }
  });
});

describe("special values", () => {
  it("exp", () => {
    expect(elementary.exp(0)).toBe(1);
    expect(elementary.exp(-0)).toBe(1);
    expect(elementary.exp(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
    expect(elementary.exp(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(elementary.exp(Number.NaN)).toBeNaN();
    expect(elementary.exp(710)).toBe(Number.POSITIVE_INFINITY);
    expect(elementary.exp(709.782712893384)).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(elementary.exp(-746)).toBe(0);
    expect(elementary.exp(-745.1)).toBe(5e-324);
    expect(elementary.exp(1e-320)).toBe(1);
  });
  it("log", () => {
    expect(elementary.log(1)).toBe(0);
    expect(elementary.log(0)).toBe(Number.NEGATIVE_INFINITY);
    expect(elementary.log(-0)).toBe(Number.NEGATIVE_INFINITY);
    expect(elementary.log(-1)).toBeNaN();
    expect(elementary.log(Number.NaN)).toBeNaN();
    expect(elementary.log(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });
  it("sin, cos, tanh", () => {
    expect(elementary.sin(-0)).toBe(-0);
    expect(elementary.sin(5e-324)).toBe(5e-324);
    expect(elementary.cos(-0)).toBe(1);
    expect(elementary.tanh(-0)).toBe(-0);
    expect(elementary.tanh(1e-320)).toBe(1e-320);
    expect(elementary.tanh(Number.NEGATIVE_INFINITY)).toBe(-1);
    expect(elementary.tanh(40)).toBe(1);
    for (const x of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(elementary.sin(x)).toBeNaN();
      expect(elementary.cos(x)).toBeNaN();
    }
    expect(elementary.tanh(Number.NaN)).toBeNaN();
    expect(() => elementary.sin(elementary.MAX_ANGLE * 1.01)).toThrow(RangeError);
    expect(() => elementary.cos(-elementary.MAX_ANGLE * 1.01)).toThrow(RangeError);
  });
});

describe("the same bits in every engine", () => {
  /** FNV-1a over the bits of f at 20,000 points that integer arithmetic spreads over [lo, hi). */
  function digest(f: (x: number) => number, lo: number, hi: number): string {
    let hash = 0x811c9dc5;
    let state = 12345;
    for (let i = 0; i < 20_000; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      view.setFloat64(0, f(lo + (hi - lo) * (state / 4294967296)));
      for (let b = 0; b < 8; b++) hash = Math.imul(hash ^ view.getUint8(b), 0x01000193);
    }
    return (hash >>> 0).toString(16).padStart(8, "0");
  }

  // Pinned from V8 (Node 24): another engine that prints anything else would sample other tokens.
  it("digests", () => {
    expect({
      exp: digest(elementary.exp, -745, 709),
      log: digest(elementary.log, 0, 1000),
      sin: digest(elementary.sin, -1e6, 1e6),
      cos: digest(elementary.cos, -1e6, 1e6),
      tanh: digest(elementary.tanh, -22, 22),
      pow: digest((x) => elementary.pow(x, -0.734375), 0, 1e6),
    }).toMatchInlineSnapshot(`
      {
        "cos": "8cd68d0a",
        "exp": "26b7baf8",
        "log": "3a7490cd",
        "pow": "345a4f1e",
        "sin": "b852f8a5",
        "tanh": "152d3f23",
      }
    `);
  });
});
