/**
 * Cross-origin isolation, and so shared memory and threads, for a page whose server cannot send the headers: registers the service
 * worker of isolate-worker.ts, and reloads the page once, so that it comes through it. Never reloads twice: a page that is not isolated
 * after its reload says why and goes on.
 */

export interface IsolateOptions {
  /** Where isolate-worker.js is served, from the page on; `?coep=credentialless` chooses that policy. Default: beside the page. */
  readonly serviceWorkerUrl?: string | URL | undefined;
  /** The folder whose pages and workers come through it. Default: the service worker's own; above it the server must allow it. */
  readonly scope?: string | undefined;
  /** False: the page is not reloaded; it is isolated when it is loaded the next time. */
  readonly reload?: boolean | undefined;
}

export interface Isolation {
  readonly isolated: boolean;
  /** In words. */
  readonly reason: string;
}

/** What is used of a window; the library is compiled without the DOM. */
interface PageScope {
  readonly self: unknown;
  readonly top?: unknown;
  readonly location?: { readonly href: string; reload?(): void };
  readonly sessionStorage: {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
  };
}

interface Target {
  readonly url: URL;
  readonly scope: URL;
  /** Of the session's note: when the page was reloaded, or that it was in vain. */
  readonly key: string;
}

/** A service worker is installed in well under a second; one that is not by then will not be. */
const ACTIVE_MS = 10_000;
/** A reload begins sooner; one that somebody prevented does not, and the page goes on. */
const RELOAD_MS = 10_000;

/**
 * Makes the page cross-origin isolated if it can: await it before models are loaded. On a first visit it reloads the page, and does not
 * return before. What stands in the way is told in `reason`, not thrown.
 * @throws TypeError when `serviceWorkerUrl` or `scope` is no URL.
 */
export async function isolate(options: IsolateOptions = {}): Promise<Isolation> {
  const page = globalThis as unknown as PageScope;
  if (page.location === undefined) return not("there is no page here");
  const target = targetOf(options, page.location.href);
  if (globalThis.crossOriginIsolated) {
    forgetReload(page, target);
    await renew(target);
    return { isolated: true, reason: "the page is cross-origin isolated" };
  }
  if (page.location.reload === undefined) return not("this is a worker: the page that starts it must be isolated");
  if (page.top !== page.self) return not("the page is in a frame: the page around it must be isolated");
  if (!globalThis.isSecureContext) return not("no service workers here: the page is neither on https: nor on localhost");
  const container = serviceWorkers();
  if (container === null) return not("no service workers here: a private window, or they are turned off");
  const hasComeThrough = comesThrough(container, target);
  const unregistered = await register(container, target, page.location.href);
  if (unregistered !== null) return not(unregistered);
  if (hasComeThrough) return not(`the page came through ${target.url.href} and is not isolated: ${REFUSED}`);
  if (options.reload === false) return not("the service worker is ready: the page is isolated when it is loaded the next time");
  const unremembered = rememberReload(page, target);
  if (unremembered !== null) return not(unremembered);
  page.location.reload();
  await new Promise((resolve) => setTimeout(resolve, RELOAD_MS));
  return not("the page was not reloaded");
}

const REFUSED = "the browser does not take these headers from a service worker, or not this embedder policy";

function not(reason: string): Isolation {
  return { isolated: false, reason };
}

function targetOf({ serviceWorkerUrl = "./isolate-worker.js", scope = "./" }: IsolateOptions, page: string): Target {
  const url = new URL(serviceWorkerUrl, page);
  // as register() resolves them: the script from the page on; the default scope is the script's folder
  const scopeUrl = new URL(scope, scope === "./" ? url : page);
  scopeUrl.search = "";
  scopeUrl.hash = "";
  return { url, scope: scopeUrl, key: `bitnet-wasm isolate ${scopeUrl.href}` };
}

/** Null where there are none; in some private windows asking for them throws. */
function serviceWorkers(): ServiceWorkerContainer | null {
  try {
    return navigator.serviceWorker ?? null;
  } catch {
    return null;
  }
}

/** An isolated page whose service worker has another query than the one now asked for gets the new one at its next load. */
async function renew({ url, scope }: Target): Promise<void> {
  const current = serviceWorkers()?.controller?.scriptURL;
  if (current === undefined || current === url.href || !isSameScript(current, url)) return;
  try {
    await navigator.serviceWorker.register(url.href, { scope: scope.href });
  } catch {
    // the page is isolated by the old one, which stays
  }
}

/** True when this very service worker has delivered the page: then a reload changes nothing. */
function comesThrough({ controller }: ServiceWorkerContainer, { url }: Target): boolean {
  // a page that was claimed after it was loaded has a controller too, but no start of a worker on its way here
  const [navigation] = performance.getEntriesByType("navigation") as readonly Partial<PerformanceResourceTiming>[];
  return controller?.scriptURL === url.href && (navigation?.workerStart ?? 0) > 0;
}

/** Registers the service worker and waits until it is active. Returns what stands in the way; null when nothing does. */
async function register(container: ServiceWorkerContainer, { url, scope }: Target, page: string): Promise<string | null> {
  if (!page.startsWith(scope.href)) return `the page is outside of the service worker's scope ${scope.href}`;
  try {
    const other = newestOf(await container.getRegistration(page))?.scriptURL;
    if (other !== undefined && !isSameScript(other, url)) {
      return `the site's own service worker ${other} serves the page: let it importScripts isolate-worker.js, and pass its URL`;
    }
    const registration = await container.register(url.href, { scope: scope.href });
    const worker = newestOf(registration);
    if (worker !== undefined && (await isActive(worker))) return null;
    return `the service worker ${url.href} did not start`;
  } catch (cause) {
    return `the service worker ${url.href} cannot be registered: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

function newestOf(registration: ServiceWorkerRegistration | undefined): ServiceWorker | undefined {
  return registration?.installing ?? registration?.waiting ?? registration?.active ?? undefined;
}

/** The query is the script's options. */
function isSameScript(a: string, b: URL): boolean {
  const { origin, pathname } = new URL(a);
  return origin === b.origin && pathname === b.pathname;
}

function isActive(worker: ServiceWorker): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), ACTIVE_MS);
    const look = () => {
      if (worker.state !== "activated" && worker.state !== "redundant") return;
      clearTimeout(late);
      resolve(worker.state === "activated");
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

/** Notes the reload that comes. Returns why there must be none; null where it may be. */
function rememberReload(page: PageScope, { key }: Target): string | null {
  try {
    // where nothing may be stored, asking for the storage throws
    const { sessionStorage } = page;
    const note = sessionStorage.getItem(key);
    // an old one is of another load: Chromium may show a page that was isolated, and now is not, what it has noted before
    if (note !== null && !(performance.timeOrigin - Number(note) > RELOAD_MS)) {
      sessionStorage.setItem(key, "refused");
      return `the page was reloaded once and is not isolated: ${REFUSED}`;
    }
    sessionStorage.setItem(key, String(Date.now()));
    return null;
  } catch {
    return "the page may not store anything, so a reload could come again and again";
  }
}

function forgetReload(page: PageScope, { key }: Target): void {
  try {
    page.sessionStorage.removeItem(key);
  } catch {
    // it may not be stored here, so it is not
  }
}
