/** Synthetic models as files: written beside their name and moved there when they are whole, or temporary and deleted afterwards. */
import { rmSync } from "node:fs";
import { mkdtemp, open, rename, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { LmError } from "../../errors.ts";
import type { SyntheticModel } from "../../synthetic/models.ts";
import { syntheticFile } from "../../synthetic/stream.ts";
import { bytes as inUnits } from "../output.ts";

export interface WriteOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (written: number, total: number) => void;
}

/**
 * Writes `model` to `path`. An interrupted or failed write leaves nothing behind, and what was there before stays.
 * @throws LmError `disk-full`, `file-not-writable`; the signal's reason
 */
export async function writeSynthetic(
  model: SyntheticModel,
  seed: number,
  path: string,
  { signal, onProgress }: WriteOptions = {},
): Promise<{ readonly size: number }> {
  const file = syntheticFile(model, seed);
  await assertRoom(path, file.size);
  const part = `${path}.part`;
  const forget = deleteOnExit(part);
  try {
    const handle = await open(part, "w");
    try {
      for (const { offset, bytes } of file.pieces()) {
        signal?.throwIfAborted();
        await handle.write(bytes, 0, bytes.length, offset);
        onProgress?.(offset + bytes.length, file.size);
      }
      await handle.truncate(file.size);
    } finally {
      await handle.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw writeError(error, path);
  } finally {
    forget();
  }
  return { size: file.size };
}

/** Writes `model` to a temporary file, does `work` with its path, and deletes it, also when the program is ended meanwhile. */
export async function withTemporarySynthetic<T>(
  model: SyntheticModel,
  seed: number,
  options: WriteOptions,
  work: (path: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "bitnet-bench-"));
  const forget = deleteOnExit(folder);
  try {
    const path = join(folder, `${model.name.replace(":", "-")}.gguf`);
    await writeSynthetic(model, seed, path, options);
    return await work(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
    forget();
  }
}

/** A second Ctrl-C ends the program without its `finally` blocks. */
function deleteOnExit(path: string): () => void {
  const remove = () => rmSync(path, { recursive: true, force: true });
  process.on("exit", remove);
  return () => process.off("exit", remove);
}

async function assertRoom(path: string, size: number): Promise<void> {
  const folder = dirname(path);
  let free: number;
  try {
    const { bavail, bsize } = await statfs(folder);
    free = bavail * bsize;
  } catch (error) {
    throw writeError(error, path);
  }
  if (free >= size) return;
  throw new LmError("disk-full", `'${folder}' has ${inUnits(free)} free; the model takes ${inUnits(size)}`, {
    hint: "Give --save FILE on a larger disk, or set TMPDIR",
  });
}

function writeError(error: unknown, path: string): unknown {
  const system = error instanceof Error && !(error instanceof LmError) ? (error as NodeJS.ErrnoException).code : undefined;
  // of a DOMException, which an abort is, the code is a number
  if (typeof system !== "string") return error;
  const what = system === "ENOENT" ? "there is no such folder" : `it cannot be written (${system})`;
  return new LmError(system === "ENOSPC" ? "disk-full" : "file-not-writable", `'${path}': ${what}`, {
    hint: "Give the path of a file in a folder that can be written to",
    cause: error,
  });
}
