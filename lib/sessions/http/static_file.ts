/** Files that are part of the program, held in memory. */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import clientJs from "../page/client.js" with { type: "text" };
import type { IncomingRequest } from "../transport/transport.ts";
import { preferred } from "./accepts.ts";

export const SCRIPT = "text/javascript; charset=utf-8";

/** One file as answers to GET and HEAD: whole, compressed, or not at all where the browser has it. */
export class StaticFile {
  readonly #content: string;
  /** Made when it is first asked for: a program that serves nobody needs none. */
  #compressed: Uint8Array<ArrayBuffer> | undefined;
  readonly #headers: Record<string, string>;
  /** Names the content, in quotes. */
  readonly #tag: string;

  /** @param headers Beside those that every file has. */
  constructor(type: string, content: string, headers: Record<string, string> = {}) {
    this.#content = content;
    this.#tag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
    this.#headers = {
      ...headers,
      "content-type": type,
      "cache-control": "no-cache", // ask each time whether it is still the same
      etag: `W/${this.#tag}`, // a weak one: the same for the file and for what it is compressed to
      vary: "accept, accept-encoding",
    };
  }

  answer({ method, headers }: IncomingRequest): Response {
    if (headers.get("if-none-match")?.includes(this.#tag)) {
      return new Response(null, { status: 304, headers: this.#headers });
    }
    const compress = preferred(headers, "Accept-Encoding", "identity", "gzip") === "gzip";
    if (compress) this.#compressed ??= new Uint8Array(gzipSync(this.#content, { level: 9 }));
    return new Response(method === "HEAD" ? null : compress ? this.#compressed : this.#content, {
      headers: compress ? { ...this.#headers, "content-encoding": "gzip" } : this.#headers,
    });
  }
}

/** `/client.js`, the reference client: for everyone's programs, whether there is a page and whoever may see it. */
export const CLIENT_SCRIPT = new StaticFile(SCRIPT, clientJs);
