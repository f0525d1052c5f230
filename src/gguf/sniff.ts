/** Says what a file that is not GGUF looks like, so that the message names the mistake. */

const decoder = new TextDecoder("latin1");

/** A few words on `head`, the first bytes of a file of `size` bytes. */
export function looksLike(head: Uint8Array, size: number): string {
  if (size === 0) return "an empty file";
  const text = decoder.decode(head);
  const start = text.replace(/^(?:\u00ef\u00bb\u00bf)?\s+/, "").toLowerCase();
  if (text.startsWith("FUGG")) return "a big-endian GGUF file";
  if (text.startsWith("PK\x03\x04")) return "a zip archive or a PyTorch checkpoint";
  if (head[0] === 0x1f && head[1] === 0x8b) return "a gzip archive; unpack it first";
  if (/^(?:lmgg|tjgg|fmgg|algg|ggml|ggjt|ggmf|ggla)/.test(text))
    return "an old GGML file from before GGUF; convert the model again";
  if (start.startsWith("version https://git-lfs")) return "a Git LFS pointer; download the real file";
  if (/^(?:<!doctype html|<html|<head|<body)/.test(start)) return "an HTML page, perhaps an error or login page";
  if (start.startsWith("<?xml") || start.startsWith("<error")) return "an XML document, perhaps a server's error";
  if (text[8] === "{" && isSafetensorsLength(head, size)) return "a safetensors file; convert it to GGUF first";
  if (start.startsWith("{") || start.startsWith("[")) return "JSON text";
  if (head.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13)) return "a text file";
  if (head.every((byte) => byte === 0)) return "zeros, perhaps a download that has not finished";
  const magic = [...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `a file that begins with ${magic}`;
}

/** A safetensors file begins with the u64 length of its JSON header. */
function isSafetensorsLength(head: Uint8Array, size: number): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getBigUint64(0, true) <= BigInt(size - 8);
}
