/** A TCP server that says what a test tells it to, to see how a client takes it. */

import { writeAll } from "./raw_websocket.ts";

export interface ScriptedServer extends AsyncDisposable {
  port: number;
}

/** One accepted connection. */
export class Peer {
  #heard = "";
  readonly #decoder = new TextDecoder();

  constructor(readonly conn: Deno.TcpConn) {}

  /** The next line that the client sends, with its end; what is left when it leaves. */
  async hears(): Promise<string> {
    const buffer = new Uint8Array(64 * 1024);
    while (!this.#heard.includes("\n")) {
      const n = await this.conn.read(buffer);
      if (n === null) break;
      this.#heard += this.#decoder.decode(buffer.subarray(0, n), { stream: true });
    }
    const end = this.#heard.indexOf("\n") + 1 || this.#heard.length;
    const line = this.#heard.slice(0, end);
    this.#heard = this.#heard.slice(end);
    return line;
  }

  /** Waits until the client has left. */
  async leaves(): Promise<void> {
    while (await this.hears() !== "");
  }

  async says(words: string | Uint8Array): Promise<void> {
    const bytes = typeof words === "string" ? new TextEncoder().encode(words) : words;
    await writeAll(this.conn, bytes);
  }
}

/** Listens on a free port of the loopback address and plays `script` on each connection, then closes it. */
export function startScriptedServer(script: (peer: Peer, number: number) => Promise<void>): ScriptedServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const played: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const conn of listener) {
      open.add(conn);
      const end = () => {
        if (open.delete(conn)) conn.close();
      };
      // a client that leaves early fails the script's next step: that is not the test's concern
      played.push(script(new Peer(conn), played.length + 1).catch(() => {}).finally(end));
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const conn of open) conn.close();
      open.clear();
      await accepting;
      await Promise.all(played);
    },
  };
}
