/** The page that a browser is shown: a few files, with nothing loaded from elsewhere. */

import type { IncomingRequest } from "../transport/transport.ts";
import chartJs from "../page/chart.js" with { type: "text" };
import clientJs from "../page/client.js" with { type: "text" };
import domJs from "../page/dom.js" with { type: "text" };
import feedJs from "../page/feed.js" with { type: "text" };
import iconSvg from "../page/icon.svg" with { type: "text" };
import indexHtml from "../page/index.html" with { type: "text" };
import mainJs from "../page/main.js" with { type: "text" };
import nodesJs from "../page/nodes.js" with { type: "text" };
import operateJs from "../page/operate.js" with { type: "text" };
import operationsJs from "../page/operations.js" with { type: "text" };
import sessionsJs from "../page/sessions.js" with { type: "text" };
import styleCss from "../page/style.css" with { type: "text" };
import tableJs from "../page/table.js" with { type: "text" };
import textsJs from "../page/texts.js" with { type: "text" };
import timeJs from "../page/time.js" with { type: "text" };
import tryJs from "../page/try.js" with { type: "text" };
import { preferred } from "./accepts.ts";
import { SCRIPT, StaticFile } from "./static_file.ts";

const HTML = "text/html; charset=utf-8";

/** By path. */
const FILES: Record<string, { type: string; content: string }> = {
  "/": { type: HTML, content: indexHtml },
  "/page/style.css": { type: "text/css; charset=utf-8", content: styleCss },
  "/page/icon.svg": { type: "image/svg+xml", content: iconSvg },
  "/page/main.js": { type: SCRIPT, content: mainJs },
  "/page/chart.js": { type: SCRIPT, content: chartJs },
  "/page/client.js": { type: SCRIPT, content: clientJs },
  "/page/dom.js": { type: SCRIPT, content: domJs },
  "/page/feed.js": { type: SCRIPT, content: feedJs },
  "/page/nodes.js": { type: SCRIPT, content: nodesJs },
  "/page/operate.js": { type: SCRIPT, content: operateJs },
  "/page/operations.js": { type: SCRIPT, content: operationsJs },
  "/page/sessions.js": { type: SCRIPT, content: sessionsJs },
  "/page/table.js": { type: SCRIPT, content: tableJs },
  "/page/texts.js": { type: SCRIPT, content: textsJs },
  "/page/time.js": { type: SCRIPT, content: timeJs },
  "/page/try.js": { type: SCRIPT, content: tryJs },
};

/** What the page may do: run our files, talk to us, and nothing else. */
const HEADERS = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
};

/** Stands in the document where the operations on sessions exist. */
const OPERABLE = "data-operable";

export interface PageOptions {
  /** Whether there are operations on sessions, and whoever sees the page may use them. @default false */
  operable?: boolean;
}

/** The files of the page as answers. */
export class Page {
  readonly #files = new Map<string, StaticFile>();

  constructor({ operable = false }: PageOptions = {}) {
    for (const [path, { type, content }] of Object.entries(FILES)) {
      const shown = operable && type === HTML ? content.replace("<html ", `<html ${OPERABLE} `) : content;
      this.#files.set(path, new StaticFile(type, shown, HEADERS));
    }
  }

  /**
   * The answer to a GET or HEAD, or nothing where the request is not for the page: another path, or one for `/` that
   * is not a browser's wish to see something.
   */
  answer(request: IncomingRequest, path: string): Response | undefined {
    const { method, headers } = request;
    const file = this.#files.get(path);
    if (!file || (method !== "GET" && method !== "HEAD")) return undefined;
    if (
      path === "/" &&
      (headers.has("upgrade") || preferred(headers, "Accept", "text/plain", "text/html") !== "text/html")
    ) return undefined;
    return file.answer(request);
  }
}
