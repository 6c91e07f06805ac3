/** A connection of tasks-server without a socket, and what surrounds it. */

import type { ConnectionContext } from "../../lib/tasks/connection.ts";
import { ConnectionMemory } from "../../lib/tasks/connection_memory.ts";
import { Dispatcher } from "../../lib/tasks/dispatcher.ts";
import type { TaskQueue } from "../../lib/tasks/queue.ts";
import { FakeClock } from "./fake_clock.ts";

/** A connection of which reads and writes are done at once, as the system does them where it can. */
export class FakeConn {
  reads = 0;
  readonly remoteAddr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  readonly #requests: Uint8Array;
  readonly #maxReads: number;

  /** @param next What a read waits for. */
  constructor(requests: string, maxReads: number, readonly next?: Promise<unknown>) {
    this.#requests = new TextEncoder().encode(requests);
    this.#maxReads = maxReads;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    await this.next;
    if (this.reads++ === this.#maxReads) return null;
    buffer.set(this.#requests);
    return this.#requests.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    return Promise.resolve(bytes.length);
  }

  close(): void {}
}

/** What connections of one server share, where nobody executes a task. */
export function contextOf(queue: TaskQueue): ConnectionContext {
  const executor = { advance: () => {}, cancel: () => false };
  return {
    dispatcher: new Dispatcher(queue, executor, { connections: 1, uptimeMs: 0 }),
    memory: new ConnectionMemory(2 ** 26, () => []),
    options: {
      receivingBufferBytes: 1024,
      maxRequestBytes: 1024,
      requestTimeoutMs: 1000,
      idleTimeoutMs: undefined,
      writeTimeoutMs: 1000,
    },
    clock: new FakeClock(),
  };
}
