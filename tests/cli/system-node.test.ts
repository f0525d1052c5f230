/** What is shipped (bin/ and dist/) runs on the Node of the system, if there is another one, and gives the same tokens. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { start } from "./support.ts";

const BIN = fileURLToPath(new URL("../../bin/bitnet.js", import.meta.url));
const isBuilt = existsSync(new URL("../../dist/cli.js", import.meta.url));

/** Path and version of the first `node` of PATH that npm did not put there. */
function systemNode(): { path: string; version: string } | null {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  for (const folder of folders) {
    const path = join(folder, process.platform === "win32" ? "node.exe" : "node");
    if (!existsSync(path)) continue;
    const version = execFileSync(path, ["-p", "process.versions.node"], { encoding: "utf8" }).trim();
    const [major, minor] = version.split(".").map(Number) as [number, number];
    return major > 20 || (major === 20 && minor >= 16) ? { path, version } : null;
  }
  return null;
}

const system = systemNode();
const reason = !isBuilt
  ? " (skipped: dist/ is not built, run npm run build)"
  : system === null || system.version === process.versions.node
    ? " (skipped: the system has no other Node of at least 20.16)"
    : "";

describe.skipIf(reason !== "")(`the built program on the system's Node${reason}`, () => {
  const args = ["run", "-p", "Once upon a time", "-n", "8", "--temp", "0", "--json"];
  const tokensOf = (stdout: string) => (JSON.parse(stdout) as { tokens: number[] }).tokens;

  test("gives the same tokens as the sources on this Node", async () => {
    const built = await start(args, { stdin: "", command: [system!.path, BIN] }).outcome;
    expect(built.code, built.stderr).toBe(0);
    const sources = await start(args, { stdin: "" }).outcome;
    expect(tokensOf(built.stdout)).toEqual(tokensOf(sources.stdout));
    expect(tokensOf(built.stdout)).toHaveLength(8);
  });

  test("answers --version and wrong usage", async () => {
    expect((await start(["--version"], { stdin: "", command: [system!.path, BIN] }).outcome).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await start(["foo"], { stdin: "", command: [system!.path, BIN] }).outcome).code).toBe(2);
  });
});
