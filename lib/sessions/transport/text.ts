/**
 * What every answer says to browsers: take the content for what it is called, and let no page of another origin embed
 * it. The second keeps `/sessions` from being run as a script or shown as an image elsewhere, whatever it holds.
 */
export const RESPONSE_HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};

/** Puts `RESPONSE_HEADERS` on an answer that is made here (one of `fetch` cannot be changed), and returns it. */
export function withResponseHeaders(response: Response): Response {
  for (const name in RESPONSE_HEADERS) response.headers.set(name, RESPONSE_HEADERS[name]!);
  return response;
}

const TEXT_HEADERS = {
  ...RESPONSE_HEADERS,
  "content-type": "text/plain; charset=utf-8",
  "cache-control": "no-store",
};

/** One line of plain text as an answer; it is not kept by anyone on the way. */
export function text(status: number, line: string, headers: Record<string, string> = {}): Response {
  return new Response(`${line}\n`, { status, headers: { ...TEXT_HEADERS, ...headers } });
}
