/** The page that a browser is shown: a few files, held in memory, with nothing loaded from elsewhere. */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { IncomingRequest } from "../transport/transport.ts";
import chartJs from "../page/chart.js" with { type: "text" };
import clientJs from "../page/client.js" with { type: "text" };
import domJs from "../page/dom.js" with { type: "text" };
import feedJs from "../page/feed.js" with { type: "text" };
import iconSvg from "../page/icon.svg" with { type: "text" };
import indexHtml from "../page/index.html" with { type: "text" };
import mainJs from "../page/main.js" with { type: "text" };
import nodesJs from "../page/nodes.js" with { type: "text" };
import sessionsJs from "../page/sessions.js" with { type: "text" };
import styleCss from "../page/style.css" with { type: "text" };
import tableJs from "../page/table.js" with { type: "text" };
import textsJs from "../page/texts.js" with { type: "text" };
import tryJs from "../page/try.js" with { type: "text" };

const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";

/** By path; the first one also stands for the page as a whole. */
const FILES: Record<string, { type: string; content: string }> = {
  "/": { type: HTML, content: indexHtml },
  "/client.js": { type: SCRIPT, content: clientJs }, // for everyone's programs
  "/page/style.css": { type: "text/css; charset=utf-8", content: styleCss },
  "/page/icon.svg": { type: "image/svg+xml", content: iconSvg },
  "/page/main.js": { type: SCRIPT, content: mainJs },
  "/page/chart.js": { type: SCRIPT, content: chartJs },
  "/page/client.js": { type: SCRIPT, content: clientJs },
  "/page/dom.js": { type: SCRIPT, content: domJs },
  "/page/feed.js": { type: SCRIPT, content: feedJs },
  "/page/nodes.js": { type: SCRIPT, content: nodesJs },
  "/page/sessions.js": { type: SCRIPT, content: sessionsJs },
  "/page/table.js": { type: SCRIPT, content: tableJs },
  "/page/texts.js": { type: SCRIPT, content: textsJs },
  "/page/try.js": { type: SCRIPT, content: tryJs },
};

/** What the page may do: run our files, talk to us, and nothing else. */
const HEADERS = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cache-control": "no-cache", // ask each time whether it is still the same
};

/** The files of the page as answers. */
export class Page {
  readonly #files = new Map<string, ReadyFile>();

  constructor() {
    for (const [path, { type, content }] of Object.entries(FILES)) {
      const tag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
      // a weak one: the same for the file and for what it is compressed to
      const headers = { ...HEADERS, "content-type": type, etag: `W/${tag}`, vary: "accept, accept-encoding" };
      const compressed = new Uint8Array(gzipSync(content, { level: 9 }));
      this.#files.set(path, { headers, content, compressed, tag });
    }
  }

  /**
   * The answer to a GET or HEAD, or nothing where the request is not for the page: another path, or one for `/` that
   * is not a browser's wish to see something.
   */
  answer({ method, headers }: IncomingRequest, path: string): Response | undefined {
    const file = this.#files.get(path);
    if (!file || (method !== "GET" && method !== "HEAD")) return undefined;
    if (path === "/" && (headers.has("upgrade") || !headers.get("accept")?.includes("text/html"))) {
      return undefined;
    }
    if (headers.get("if-none-match")?.includes(file.tag)) {
      return new Response(null, { status: 304, headers: file.headers });
    }
    const compress = headers.get("accept-encoding")?.includes("gzip");
    return new Response(method === "HEAD" ? null : compress ? file.compressed : file.content, {
      headers: compress ? { ...file.headers, "content-encoding": "gzip" } : file.headers,
    });
  }
}

interface ReadyFile {
  headers: Record<string, string>;
  content: string;
  compressed: Uint8Array<ArrayBuffer>;
  /** Names the content, in quotes. */
  tag: string;
}
