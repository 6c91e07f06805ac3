/** Many raw connections at once. */

/** How many connections are begun at once: no more than a usual backlog holds. */
const AT_ONCE = 200;

/** Connections that send something and then do nothing, not even read. */
export class Crowd implements Disposable {
  private constructor(readonly conns: Deno.TcpConn[]) {}

  /** @param send What connection `i` sends; nothing when it is empty. */
  static async connect(port: number, count: number, send: (i: number) => string): Promise<Crowd> {
    const crowd = new Crowd([]);
    for (let from = 0; from < count; from += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, async (_, i) => {
        const conn = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined); // or refused
        if (!conn) return;
        crowd.conns.push(conn);
        await conn.write(new TextEncoder().encode(send(from + i))).catch(() => {}); // or cut off already
      }));
    }
    return crowd;
  }

  [Symbol.dispose](): void {
    for (const conn of this.conns) conn.close();
  }
}
