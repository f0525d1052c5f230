/** Finds a Chromium or Chrome for the browser tests: what `CHROMIUM` names, else the usual places of the system, else Playwright's cache. */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Enough for headless runs in containers, and silent on the network. WebGPU needs its flag where there is no GPU. */
export const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--enable-unsafe-webgpu",
];

export const INSTALL_CHROMIUM =
  "install one (Debian and Ubuntu: apt-get install chromium; macOS, Windows: Chrome; anywhere: npx playwright install chromium) or set CHROMIUM to its path";

/** Path of the executable; null where there is none. @throws Error when `CHROMIUM` names a file that does not exist. */
export function findChromium(): string | null {
  const named = process.env["CHROMIUM"];
  if (named !== undefined && named !== "") {
    if (existsSync(named)) return named;
    throw new Error(`CHROMIUM is '${named}', which does not exist; unset it, or ${INSTALL_CHROMIUM}`);
  }
  return [...systemPlaces(), ...playwrightPlaces()].find((path) => existsSync(path)) ?? null;
}

function systemPlaces(): string[] {
  switch (process.platform) {
    case "darwin":
      return ["/Applications", join(homedir(), "Applications")].flatMap((folder) => [
        join(folder, "Google Chrome.app/Contents/MacOS/Google Chrome"),
        join(folder, "Chromium.app/Contents/MacOS/Chromium"),
      ]);
    case "win32":
      return ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"].flatMap((name) => {
        const folder = process.env[name];
        return folder === undefined ? [] : [join(folder, "Google/Chrome/Application/chrome.exe")];
      });
    default: {
      const folders = (process.env["PATH"] ?? "").split(":").filter((folder) => folder.startsWith("/"));
      const inPath = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].flatMap((name) =>
        folders.map((folder) => join(folder, name)),
      );
      return ["/usr/bin/chromium", "/usr/bin/google-chrome", ...inPath];
    }
  }
}

/** Chromium as `npx playwright install` leaves it: `chromium-<revision>/<platform>/…`, the newest first. */
function playwrightPlaces(): string[] {
  const caches: Partial<Record<NodeJS.Platform, string>> = {
    darwin: join(homedir(), "Library/Caches/ms-playwright"),
    win32: join(process.env["LOCALAPPDATA"] ?? homedir(), "ms-playwright"),
  };
  const named = process.env["PLAYWRIGHT_BROWSERS_PATH"];
  const cache =
    named === undefined || named === "" || named === "0"
      ? (caches[process.platform] ?? join(homedir(), ".cache/ms-playwright"))
      : named;
  if (!existsSync(cache)) return [];
  const revisions = readdirSync(cache).flatMap((folder) => /^chromium-(\d+)$/.exec(folder)?.[1] ?? []);
  const executables = [
    "chrome-linux/chrome",
    "chrome-linux64/chrome",
    "chrome-mac/Chromium.app/Contents/MacOS/Chromium",
    "chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
    "chrome-mac-x64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
    "chrome-win/chrome.exe",
    "chrome-win64/chrome.exe",
  ];
  return revisions
    .sort((a, b) => Number(b) - Number(a))
    .flatMap((revision) => executables.map((path) => join(cache, `chromium-${revision}`, path)));
}
