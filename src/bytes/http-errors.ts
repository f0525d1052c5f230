/** The errors of an HTTP source: a code per cause, the URL without its query, and what to do. */
import { type ErrorOptions, NetworkError } from "../errors.ts";

/** The remote file, as messages name it: no query. */
export interface HttpTarget {
  readonly name: string;
}

/** A NetworkError with `url` and `status` in its data. */
export function httpError(
  code: string,
  target: HttpTarget,
  response: Response,
  what: string,
  options: ErrorOptions = {},
): NetworkError {
  return new NetworkError(code, `http: '${target.name}' ${what}`, {
    ...options,
    data: { ...options.data, url: target.name, status: response.status },
  });
}

/** No answer at all, or a connection that broke. */
export function netError(target: HttpTarget, cause: unknown): NetworkError {
  return new NetworkError("network-failed", `http: '${target.name}' could not be reached`, {
    data: { url: target.name },
    cause,
    hint: "Check the connection and the address; in a browser the server must also allow this origin (CORS).",
  });
}

/** The body ended early, or broke off. */
export function truncatedError(
  target: HttpTarget,
  response: Response,
  got: number,
  wanted: number | null,
  cause?: unknown,
): NetworkError {
  const of = wanted === null ? "" : ` of ${wanted}`;
  return httpError("http-truncated", target, response, `broke off after ${got}${of} bytes`, {
    data: { got, wanted },
    cause,
    hint: "The connection was lost; load the model again.",
  });
}

/** The error of a status that is neither 200 nor 206; lets the body go. */
export async function statusError(target: HttpTarget, response: Response): Promise<NetworkError> {
  await response.body?.cancel().catch(() => {
    // The body is not wanted, so its failure says nothing new.
  });
  const { status } = response;
  const retryAfter = response.headers.get("retry-after")?.slice(0, 64);
  return httpError(`http-${status}`, target, response, `answered with status ${status}`, {
    ...(retryAfter === undefined ? {} : { data: { retryAfter } }),
    hint: statusHint(status, retryAfter),
  });
}

function statusHint(status: number, retryAfter: string | undefined): string | undefined {
  if (status === 401) return "The file needs a login: pass an access token in the authorization header.";
  if (status === 403) return "Access is refused: accept the model's licence, or use a token that may read it.";
  if (status === 404 || status === 410) return "There is no such file: check the address, the file's name and the revision.";
  if (status === 429)
    return retryAfter === undefined
      ? "Too many requests: wait and try again."
      : `Too many requests: try again after ${retryAfter}.`;
  if (status >= 500) return "The server has a problem: try again later.";
  return undefined;
}
