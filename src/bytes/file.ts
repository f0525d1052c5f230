/**
 * A source over a path, for Node. Only regular files: opening a pipe would wait for a writer.
 * Reads go in pieces, because one read of 2^31 bytes or more is an error in Node, and so that aborting takes effect in between.
 */
import * as fs from "node:fs";
import { promisify } from "node:util";
import { LmError } from "../errors.ts";
import { type ByteSource, checkRange } from "./byte-source.ts";
import { sourceClosedError } from "./memory.ts";

const openPath = promisify(fs.open);
const readPiece = promisify(fs.read);
const closeFd = promisify(fs.close);

/** Largest single read: well under 2^31, and about 10 ms from a page cache at 1.5 GB/s. */
const MAX_PIECE_BYTES = 16 * 1024 * 1024;

/**
 * Opens the regular file at `path` for reading.
 * @throws LmError `file-not-found`; `file-not-readable` (a directory, a device, no permission); reads: `file-changed`.
 */
export async function openFileSource(path: string): Promise<ByteSource> {
  let fd: number;
  let size: number;
  try {
    assertRegular(path, await fs.promises.stat(path));
    fd = await openPath(path, "r");
  } catch (error) {
    throw fileError(path, error);
  }
  try {
    const stats = fs.fstatSync(fd);
    assertRegular(path, stats);
    size = stats.size;
  } catch (error) {
    await closeFd(fd);
    throw fileError(path, error);
  }
  let isClosed = false;
  let nPending = 0;
  const closeWhenIdle = async (): Promise<void> => {
    if (isClosed && nPending === 0 && fd >= 0) {
      const last = fd;
      fd = -1;
      await closeFd(last);
    }
  };
  const range = { name: path, size };
  const begin = (offset: number, length: number): Uint8Array => {
    if (isClosed) throw sourceClosedError(path);
    checkRange(range, offset, length);
    return new Uint8Array(length);
  };

  return {
    ...range,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      const bytes = begin(offset, length);
      nPending++;
      try {
        for (let done = 0; done < length; ) {
          const want = Math.min(MAX_PIECE_BYTES, length - done);
          const { bytesRead } = await readPiece(fd, bytes, done, want, offset + done);
          signal?.throwIfAborted();
          if (bytesRead === 0) throw shrunk(path, offset + done, size);
          done += bytesRead;
        }
      } catch (error) {
        if (signal?.aborted) throw error;
        throw fileError(path, error);
      } finally {
        nPending--;
        await closeWhenIdle();
      }
      return bytes;
    },
    readSync(offset, length) {
      const bytes = begin(offset, length);
      try {
        for (let done = 0; done < length; ) {
          const bytesRead = fs.readSync(fd, bytes, done, Math.min(MAX_PIECE_BYTES, length - done), offset + done);
          if (bytesRead === 0) throw shrunk(path, offset + done, size);
          done += bytesRead;
        }
      } catch (error) {
        throw fileError(path, error);
      }
      return bytes;
    },
    async close() {
      isClosed = true;
      await closeWhenIdle();
    },
  };
}

function assertRegular(path: string, stats: fs.Stats): void {
  if (stats.isFile()) return;
  const what = stats.isDirectory() ? "a directory" : "not a regular file";
  throw new LmError("file-not-readable", `bytes: '${path}' is ${what}`, {
    data: { path },
    hint: stats.isDirectory() ? "Name a .gguf file inside it." : "Name a .gguf file.",
  });
}

function shrunk(path: string, byteOffset: number, size: number): LmError {
  return new LmError("file-changed", `bytes: '${path}' ended at byte ${byteOffset}, but had ${size} bytes when it was opened`, {
    data: { path, byteOffset, size },
    hint: "Another program changed the file; load it again when that has finished.",
  });
}

function fileError(path: string, error: unknown): Error {
  if (error instanceof LmError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new LmError("file-not-found", `bytes: there is no file '${path}'`, {
      data: { path, system: code },
      hint: "Check the path; relative paths start at the current directory.",
      cause: error,
    });
  }
  const isDenied = code === "EACCES" || code === "EPERM";
  return new LmError("file-not-readable", `bytes: '${path}' cannot be read (${code})`, {
    data: { path, system: code },
    hint: isDenied ? "Give this user permission to read the file." : "Check the path and the disk it lies on.",
    cause: error,
  });
}
