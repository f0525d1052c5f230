/** What src/bytes uses in workers and the DOM's types do not have. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}
