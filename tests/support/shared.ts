/** Finds the full test sets beside the checkout; a plain clone does not have them and skips in words. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../shared/", import.meta.url));

/** True where the full sets are there. */
export const hasShared = existsSync(root);

/** Absolute path of a file of the full sets, e.g. `golden/manifest.json`. */
export function sharedPath(path: string): string {
  return root + path;
}

/** Absolute path of a small case that every clone has. */
export function fixturePath(path: string): string {
  return fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
}
