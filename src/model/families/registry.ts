/** Which file reads which architecture. */
import { UnsupportedError } from "../../errors.ts";
import type { Family } from "../family.ts";
import { bitnet } from "./bitnet.ts";

const FAMILIES: readonly Family[] = [bitnet];

/** Every architecture that can be loaded. */
export const ARCHITECTURES: readonly string[] = FAMILIES.flatMap((family) => family.architectures);

/** @throws UnsupportedError `architecture-unsupported` that names what is supported. */
export function familyOf(architecture: string): Family {
  const family = FAMILIES.find((candidate) => candidate.architectures.includes(architecture));
  if (family !== undefined) return family;
  throw new UnsupportedError(
    "architecture-unsupported",
    `model: architecture '${architecture}' is not supported; supported are ${ARCHITECTURES.join(", ")}`,
    {
      data: { what: "architecture", found: architecture, supported: ARCHITECTURES },
      hint: "Use a model of one of these architectures.",
    },
  );
}
