/** A way between a server and Redis that can be cut, stalled and slowed down. */

export type WayMode =
  | { kind: "open" }
  /** Connections are closed, and new ones at once. */
  | { kind: "cut" }
  /** Connections stay open and nothing gets through before the mode changes. */
  | { kind: "stall" }
  /** Each chunk takes this much longer. */
  | { kind: "delay"; ms: number };

export class Proxy implements AsyncDisposable {
  readonly port: number;
  /** How many connections were made to it. */
  accepted = 0;
  readonly #listener: Deno.TcpListener;
  readonly #targetPort: number;
  readonly #conns = new Set<Deno.Conn>();
  /** For each connection, until when nothing that is sent to the target gets through on it. */
  readonly #held = new Set<{ until: Promise<void> }>();
  readonly #serving: Promise<void>;
  #mode: WayMode = { kind: "open" };
  #changed = Promise.withResolvers<void>();

  constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#serving = this.#accept();
  }

  set mode(mode: WayMode) {
    this.#mode = mode;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    if (mode.kind === "cut") this.#closeAll();
  }

  /**
   * Holds back what is sent to the target on the connections that there are, as TCP does when it repeats what was lost; new
   * connections are not touched.
   *
   * @returns how to let it go: then it still arrives, though its sender may have closed the connection meanwhile.
   */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const held of this.#held) held.until = promise;
    return resolve;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.mode = { kind: "cut" };
    await this.#serving;
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      this.accepted++;
      this.#serve(conn);
    }
  }

  async #serve(near: Deno.TcpConn): Promise<void> {
    this.#conns.add(near);
    let far: Deno.TcpConn | undefined;
    const held = { until: Promise.resolve() };
    this.#held.add(held);
    try {
      await this.#passable();
      far = await Deno.connect({ hostname: "127.0.0.1", port: this.#targetPort });
      this.#conns.add(far);
      near.setNoDelay();
      far.setNoDelay();
      await Promise.race([this.#carry(near, far, held), this.#carry(far, near)]);
    } catch {
      // one of the two has gone
    }
    for (const conn of [near, far]) {
      if (conn && this.#conns.delete(conn)) close(conn);
    }
    this.#held.delete(held);
  }

  /** Goes on reading while it waits: what a sender has sent is on its way, whatever becomes of the sender. */
  async #carry(from: Deno.Conn, to: Deno.Conn, held?: { until: Promise<void> }): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    let written: Promise<void> = Promise.resolve();
    for (let n; (n = await from.read(buffer)) !== null;) {
      const chunk = buffer.slice(0, n);
      written = written.then(async () => {
        await held?.until;
        await this.#passable();
        for (let sent = 0; sent < chunk.length;) sent += await to.write(chunk.subarray(sent));
      });
      written.catch(() => {}); // told where it is waited for
    }
    await written;
  }

  /** Waits as the mode says; throws where there is no way. */
  async #passable(): Promise<void> {
    while (this.#mode.kind === "stall") await this.#changed.promise;
    if (this.#mode.kind === "delay") {
      const { ms } = this.#mode;
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
    if (this.#mode.kind === "cut") throw new Error("there is no way");
  }

  #closeAll(): void {
    for (const conn of this.#conns) close(conn);
    this.#conns.clear();
  }
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // closed already
  }
}
