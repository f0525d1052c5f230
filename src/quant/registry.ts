/** The block formats that can be computed with, by name. Adding one is one file and one line here. */
import { UnsupportedError } from "../errors.ts";
import { f16 } from "./f16.ts";
import { f32 } from "./f32.ts";
import type { QuantFormat } from "./format.ts";
import type { FormatName } from "./geometry.ts";
import { i2_s } from "./i2_s.ts";
import { q8_0 } from "./q8_0.ts";

export const QUANT_FORMATS: ReadonlyMap<FormatName, QuantFormat> = new Map(
  [f32, f16, q8_0, i2_s].map((format) => [format.name, format]),
);

/** @throws UnsupportedError `quant-unsupported` for a format that can be named but not computed. */
export function quantFormat(name: FormatName, where: string): QuantFormat {
  const format = QUANT_FORMATS.get(name);
  if (format !== undefined) return format;
  const supported = [...QUANT_FORMATS.keys()];
  throw new UnsupportedError("quant-unsupported", `quant: ${where} has type ${name}; supported are ${supported.join(", ")}`, {
    data: { what: "quantization", found: name, supported },
    hint: "Use a file in one of these types.",
  });
}
