/** Many raw connections at once, and what good clients notice of them, compared with others who are spared. */

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

/**
 * Does the same at a subject and at a control again and again, beside each other.
 *
 * @param times How often it is done at the subject.
 * @returns how often it was done at the control in each time that it was done at the subject, the most last.
 */
export async function timesAtControl(
  act: { subject: () => Promise<void>; control: () => Promise<void> },
  times: number,
): Promise<number[]> {
  let atControl = 0;
  let isOver = false;
  const controlling = (async () => {
    for (; !isOver; atControl++) await act.control();
  })();
  const counts: number[] = [];
  try {
    for (let i = 0; i < times; i++) {
      const before = atControl;
      await act.subject();
      counts.push(atControl - before);
    }
  } finally {
    isOver = true;
    await controlling;
  }
  return counts.sort((a, b) => a - b);
}
