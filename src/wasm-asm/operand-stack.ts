/**
 * The checker: the operand and control stacks of the validation algorithm, over value tokens instead of types.
 * An instruction's operands must be the tokens on top, in order. Source: WebAssembly core specification 3.0, appendix
 * "Validation Algorithm".
 */
import { Val, type ValType } from "./types.ts";

/** One structured control instruction, and its branch target. `T` = the type that a branch to it carries, null for none. */
export class Label<out T extends ValType | null = ValType | null> {
  readonly kind: string;
  readonly branchType: T;
  readonly resultType: ValType | null;
  /** Index in the control stack. */
  readonly level: number;
  /** Operands below this height belong to the enclosing blocks. */
  readonly base: number;
  isUnreachable = false;

  constructor(kind: string, branchType: T, resultType: ValType | null, level: number, base: number) {
    this.kind = kind;
    this.branchType = branchType;
    this.resultType = resultType;
    this.level = level;
    this.base = base;
  }
}

/** The token of an instruction that never completes; stands for any type in the dead code after it. */
export const NEVER = new Val<never>("never" as never, "a branch");

function describe(val: Val | undefined): string {
  if (val === undefined) return "nothing";
  return val === NEVER ? "the result of a branch" : `${val.type} (${val.madeBy})`;
}

export class OperandStack {
  readonly #funcName: string;
  readonly #vals: Val[] = [];
  readonly #labels: Label[] = [];

  constructor(funcName: string) {
    this.#funcName = funcName;
  }

  fail(instruction: string, problem: string): never {
    throw new Error(`wasm-asm: function '${this.#funcName}': ${instruction}: ${problem}`);
  }

  push<T extends ValType>(type: T, madeBy: string): Val<T> {
    const val = new Val(type, madeBy);
    this.#vals.push(val);
    return val;
  }

  /** Consumes `given`, which must be on top and of type `expected`; `position` is the operand's number from 1. */
  pop(given: Val | undefined, expected: ValType, instruction: string, position: number): void {
    const vals = this.#vals;
    const frame = this.#frame(instruction);
    const isAtBase = vals.length === frame.base;
    if (given !== undefined && given.type === expected && given === vals[vals.length - 1] && !isAtBase) {
      vals.pop();
      return;
    }
    const where = `operand ${position}: expected ${expected}`;
    if (!(given instanceof Val)) this.fail(instruction, `${where}, found ${given === undefined ? "nothing" : String(given)}`);
    if (given !== NEVER && given.type !== expected) this.fail(instruction, `${where}, found ${describe(given)}`);
    if (isAtBase && frame.isUnreachable) return; // the polymorphic stack gives any value
    const top = isAtBase ? undefined : vals[vals.length - 1];
    const at = vals.indexOf(given);
    const why =
      at < 0
        ? "is not on the stack (used before, or of another function)"
        : at < frame.base
          ? "lies outside this block"
          : "is not on top";
    this.fail(instruction, `${where} from ${given.madeBy}, which ${why}; found ${describe(top)} on top`);
  }

  #frame(instruction: string): Label {
    return this.#labels[this.#labels.length - 1] ?? this.fail(instruction, "the function has already ended");
  }

  /** Opens a block. A loop's branches go to its start and carry nothing. */
  open<T extends ValType | null>(kind: string, branchType: T, resultType: ValType | null): Label<T> {
    const label = new Label(kind, branchType, resultType, this.#labels.length, this.#vals.length);
    this.#labels.push(label);
    return label;
  }

  /** Ends the innermost block, which must be `label`; `result` is what its body gave. */
  close(label: Label, result: unknown): void {
    const name = `end of ${label.kind}`;
    if (this.#frame(name) !== label) this.fail(name, `a ${this.#frame(name).kind} inside it is still open`);
    const { resultType, base } = label;
    if (resultType !== null && !(result === undefined && label.isUnreachable)) {
      this.pop(result as Val | undefined, resultType, name, 1);
    }
    if (this.#vals.length !== base) {
      const left = this.#vals.slice(base).map(describe).join(", ");
      this.fail(name, `expected no further values, found ${left}; drop what is not used`);
    }
    if (resultType === null && result instanceof Val && result !== NEVER) {
      this.fail(name, `expected no result, found ${describe(result)}`);
    }
    this.#labels.pop();
  }

  /** Marks the rest of the innermost block as dead code. */
  markUnreachable(): Val<never> {
    const frame = this.#frame("branch");
    this.#vals.length = frame.base;
    frame.isUnreachable = true;
    return NEVER;
  }

  /** Relative depth of `label`, which must enclose the current position. */
  depthOf(label: Label, instruction: string): number {
    if (this.#labels[label.level] !== label) this.fail(instruction, `its target, a ${label.kind}, does not enclose it`);
    return this.#labels.length - 1 - label.level;
  }
}
