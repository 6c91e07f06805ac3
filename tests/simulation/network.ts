import type { RedisConnection, Reply } from "../../lib/sessions/redis_connection.ts";
import { CONNECT_TIMEOUT_MS } from "../../lib/sessions/redis_primary.ts";
import type { Peer, SimulatedRedis } from "./redis.ts";
import type { World } from "./world.ts";

/** What a way does with what is on it. */
export type WayMode =
  | { kind: "open"; minMs: number; maxMs: number }
  /** As open, but what travels arrives only at the ends of such spans, all of it together. */
  | { kind: "batch"; everyMs: number }
  /** Nothing arrives before the mode changes; connections stay. */
  | { kind: "stall" }
  /** There is no way: connections break. */
  | { kind: "cut" };

/** Who is at the near end: delivers when its process runs. */
export type Deliver = (run: () => void) => void;

/** The way between one process and Redis. */
export class Way {
  mode: WayMode = { kind: "open", minMs: 0.1, maxMs: 1 };
  /** Those that are held: like a stall, of one connection, as TCP does when it repeats what was lost. */
  readonly held = new Set<Connection>();
  readonly connections = new Set<Connection>();
  count = 0;

  constructor(readonly world: World, readonly redis: SimulatedRedis) {}

  connect(deliver: Deliver, onLost: (error: Error) => void): Connection {
    const connection = new Connection(this, ++this.count, deliver, onLost);
    this.connections.add(connection);
    return connection;
  }

  set(mode: WayMode): void {
    this.mode = mode;
    if (mode.kind === "cut") { for (const connection of [...this.connections]) connection.break(); }
    else this.#move();
  }

  hold(connection: Connection): void {
    this.held.add(connection);
  }

  letGo(connection: Connection): void {
    this.held.delete(connection);
    connection.move();
  }

  /** When something that leaves now arrives; `undefined` where it has to wait. */
  arrivalMs(connection: Connection): number | undefined {
    const { nowMs, random } = this.world;
    switch (this.mode.kind) {
      case "stall":
      case "cut":
        return undefined;
      case "open":
        return this.held.has(connection)
          ? undefined
          : nowMs + random.between(this.mode.minMs, this.mode.maxMs);
      case "batch":
        return this.held.has(connection)
          ? undefined
          : (Math.floor(nowMs / this.mode.everyMs) + 1) * this.mode.everyMs;
    }
  }

  #move(): void {
    for (const connection of [...this.connections]) connection.move();
  }
}

/** What goes one way over a connection, in order. */
class Lane {
  /** What has yet to leave, and then what is under way. */
  #waiting: (() => void)[] = [];
  #underWay: (() => void)[] = [];
  #lastMs = 0;

  constructor(readonly connection: Connection, readonly arrive: (items: (() => void)[]) => void) {}

  send(item: () => void): void {
    this.#waiting.push(item);
    this.move();
  }

  /** Sends on its way what could not leave before. */
  move(): void {
    const { way } = this.connection;
    const arrivalMs = this.#waiting.length > 0 ? way.arrivalMs(this.connection) : undefined;
    if (arrivalMs === undefined) return;
    const count = this.#waiting.length;
    this.#underWay.push(...this.#waiting);
    this.#waiting = [];
    this.#lastMs = Math.max(this.#lastMs, arrivalMs);
    way.world.at(this.#lastMs, () => this.#onArrival(count));
  }

  clear(): void {
    this.#waiting = [];
  }

  #onArrival(count: number): void {
    const { way } = this.connection;
    if (way.mode.kind === "cut") {
      // some of what a cut catches has arrived
      const items = this.#underWay.splice(0, count);
      if (way.world.random.next() < 0.5) this.arrive(items);
      else this.#underWay = [];
    } else if (way.arrivalMs(this.connection) !== undefined) {
      this.arrive(this.#underWay.splice(0, count));
    } else {
      // a stall catches all that is under way
      this.#waiting.unshift(...this.#underWay);
      this.#underWay = [];
    }
  }
}

/** A TCP connection, as its process has it. */
export class Connection implements RedisConnection, Peer {
  readonly ready: Promise<void>;
  /** Redis had forgotten its scripts: as with one that breaks, what was sent just before may yet be done, if others have loaded them. */
  #refused = false;
  /** When its process let go of it, and whether because it had failed. */
  givenUp: { atMs: number; failed: boolean } | undefined;
  readonly #ready = Promise.withResolvers<void>();
  readonly #toRedis: Lane;
  readonly #toProcess: Lane;
  readonly #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = [];
  readonly #listeners = new Map<string, (message: string) => void>();
  #accepted = false;
  #broken = false;
  #stopTimeout: () => void;

  constructor(
    readonly way: Way,
    /** Of the process, from 1. */
    readonly number: number,
    readonly deliver: Deliver,
    readonly onLost: (error: Error) => void,
  ) {
    this.ready = this.#ready.promise;
    this.ready.catch(() => {});
    this.#toRedis = new Lane(this, (items) => {
      for (const item of items) item();
    });
    this.#toProcess = new Lane(this, (items) => {
      deliver(() => {
        if (!this.givenUp) { for (const item of items) item(); }
      });
    });
    this.#stopTimeout = way.world.after(
      CONNECT_TIMEOUT_MS,
      () => deliver(() => this.#fail("connection timeout")),
    );
    if (way.mode.kind === "cut") way.world.after(0.1, () => deliver(() => this.#fail("no route")));
    else this.#toRedis.send(() => this.#knock());
  }

  send<T extends Reply>(...command: string[]): Promise<T> {
    return this.#ask(command) as Promise<T>;
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    this.#listeners.set(channel, listener);
    await this.#ask(["SUBSCRIBE", channel]);
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#ask(["PUBLISH", channel, message]);
  }

  destroy(): Promise<void> {
    this.#letGo(this.#refused);
    return Promise.resolve();
  }

  // ---- the end at Redis ---------------------------------------------------------------------------------------------

  reply(value: { reply: unknown } | { error: string } | { channel: string; message: string }): void {
    this.#toProcess.send(() => {
      if ("channel" in value) return this.#listeners.get(value.channel)?.(value.message);
      const waiting = this.#waiting.shift();
      if ("error" in value) {
        this.#refused ||= value.error.startsWith("NOSCRIPT");
        waiting?.reject(new Error(value.error));
      } else waiting?.resolve(value.reply as Reply);
    });
  }

  close(): void {
    this.#broken = true;
    this.#toRedis.clear();
    this.#toProcess.send(() => this.#fail("closed by Redis"));
  }

  // ---- the way ------------------------------------------------------------------------------------------------------

  move(): void {
    this.#toRedis.move();
    this.#toProcess.move();
  }

  /** The way is cut: some of what was on it may have arrived. */
  break(): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#toRedis.clear();
    this.#toProcess.clear();
    this.way.connections.delete(this);
    this.way.world.after(2, () => this.way.redis.forget(this));
    this.way.world.after(0.1, () => this.deliver(() => this.#fail("connection reset")));
  }

  #knock(): void {
    if (!this.way.redis.up) {
      this.#broken = true;
      this.#toProcess.send(() => this.#fail("connection refused"));
      return;
    }
    this.#accepted = true;
    this.way.redis.accept(this);
    this.#toProcess.send(() => {
      this.#stopTimeout();
      this.#ready.resolve();
    });
  }

  #ask(command: string[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.givenUp || this.#broken) return reject(new Error("the connection is closed"));
      this.#waiting.push({ resolve, reject });
      this.#toRedis.send(() => {
        if (this.#accepted) this.way.redis.receive(this, command);
      });
    });
  }

  #fail(why: string): void {
    if (this.givenUp) return;
    this.#letGo(true);
    this.onLost(new Error(why));
  }

  /** Its process has done with it; what it has sent may still arrive, and its end last. */
  #letGo(failed: boolean): void {
    if (this.givenUp) return;
    this.givenUp = { atMs: this.way.world.nowMs, failed };
    this.#stopTimeout();
    const error = new Error("the connection is closed");
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#ready.reject(error);
    this.#toRedis.send(() => {
      this.way.redis.receive(this, []);
      this.way.connections.delete(this);
    });
  }
}
