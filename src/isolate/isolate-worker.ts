/**
 * The service worker of isolate.ts: adds the isolating headers to what needs them, the documents and the workers' scripts below its
 * scope. Nothing else is intercepted: a model's ranges and streams go from the network to the page as if there were no service worker,
 * and `credentialless` keeps its meaning, which a service worker's own fetch would take from it.
 * `?coep=credentialless` on its URL replaces `require-corp`. A classic script without imports: a site that has a service worker of its
 * own can take it in with importScripts.
 * Source: HTML, cross-origin opener and embedder policies (a worker's script needs the embedder policy too); Service Workers, Handle Fetch.
 */
const scope = globalThis as unknown as ServiceWorkerGlobalScope;

const embedderPolicy =
  new URLSearchParams(scope.location.search).get("coep") === "credentialless" ? "credentialless" : "require-corp";

scope.addEventListener("install", () => void scope.skipWaiting());
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));
scope.addEventListener("fetch", (event) => {
  if (needsHeaders(event.request)) event.respondWith(answer(event.request));
});

function needsHeaders({ method, mode, destination, cache }: Request): boolean {
  // a request for the cache alone may not be repeated by a service worker
  if (method !== "GET" || cache === "only-if-cached") return false;
  return mode === "navigate" || destination === "worker" || destination === "sharedworker";
}

async function answer(request: Request): Promise<Response> {
  const response = await fetch(request);
  // opaque: a redirect of a navigation, which the browser follows itself; a part of a file must stay one
  if (response.status === 0 || response.status === 206) return response;
  const headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  if (!/^\s*(require-corp|credentialless)\b/.test(headers.get("cross-origin-embedder-policy") ?? "")) {
    headers.set("cross-origin-embedder-policy", embedderPolicy);
  }
  if (!headers.has("cross-origin-resource-policy")) headers.set("cross-origin-resource-policy", "cross-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

// a module to the compiler, so that its names are its own; the build leaves it out
export {};
