import { type Clock, delay } from "../../../service/clock.ts";
import type { Delivery, SessionEntry } from "../../session_entry.ts";
import { type Blocks, MAX_BLOCKS } from "../blocks.ts";
import {
  type Condition,
  type EndOptions,
  type EndResult,
  RegistryUnreachableError,
  type SendResult,
} from "../registry.ts";
import type { Lease } from "./lease.ts";
import type { Lines } from "./lines.ts";
import type { NodeMessage } from "./messages.ts";
import type { RedisStore } from "./redis_store.ts";
import { SCRIPTS } from "./scripts.ts";

/** An operation that cannot be asked for at the moment, for want of a connection or a renewal, is tried for this part of a lease. */
const PATIENCE = 1 / 4;
const RETRY_MS = 20;

/** Whether sessions have ended is asked for the first time after a moment, then less and less often, with the request to go. */
const FIRST_LOOK_MS = 5;
const LOOK_EVERY_MS = 200;

/**
 * Until their end must be evident: of the lease of a process that has died only a part was left; another lease passes where
 * Redis has lost its data; and what is asked to go may take its time.
 */
const END_LEASES = 2;
const END_MS = 3_000;

/** How long a process has to say what has become of a text. */
const SEND_MS = 5_000;

/** A message about an operation, which is not one about a single session's place. */
export type OperationMessage = NodeMessage & { kind: "block" | "send" | "sent" };

export interface OperationsOptions {
  store: RedisStore;
  clock: Clock;
  leaseMs: number;
  lease: Pick<Lease, "terms" | "hurry">;
  lines: Lines;
  blocks: Blocks;
}

/**
 * What operators do with the sessions of one client, wherever they are: the scripts say who is there and tell their processes,
 * and are asked again until the line shows what came of it.
 */
export class Operations {
  readonly #options: OperationsOptions;
  /** Who waits for what has become of a text. */
  readonly #sent = new Map<string, (delivery: Delivery | undefined) => void>();
  #requests = 0;
  /** In which generation the blocks that we know were told. */
  #generation = "";
  #stale = true;
  #refreshing = false;
  readonly #closed = new AbortController();

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** See `SessionRegistry.find`. */
  async find(clientId: string): Promise<SessionEntry | undefined> {
    const [answer, sessionId = "", node = "", epoch, connectedAt] = await this.#ask(SCRIPTS.find, clientId, [
      "",
    ]);
    if (answer === "nobody") return undefined;
    return { clientId, sessionId, node, epoch: Number(epoch), connectedAtMs: Number(connectedAt) };
  }

  /** See `SessionRegistry.end`. */
  async end(clientId: string, { condition, blockMs }: EndOptions = {}): Promise<EndResult> {
    const { clock, leaseMs } = this.#options;
    const endMs = clock.nowMs() + leaseMs * END_LEASES + END_MS;
    const block = blockMs === undefined ? "" : String(Math.ceil(blockMs));
    const first = ["", "", block, String(MAX_BLOCKS)];
    let [answer, epoch = "", only = ""] = await this.#ask(SCRIPTS.end, clientId, [
      textOf(condition),
      ...first,
    ]);
    if (answer === "other" || answer === "full") return { kind: answer };
    let seen = false;
    for (let waitMs = FIRST_LOOK_MS; answer !== "nobody"; waitMs = Math.min(2 * waitMs, LOOK_EVERY_MS)) {
      seen ||= answer === "left";
      if (this.#isClosed || clock.nowMs() > endMs) return { kind: "unconfirmed" };
      await delay(clock, waitMs, this.#closed.signal);
      try {
        [answer] = await this.#ask(SCRIPTS.end, clientId, ["", epoch, only, "", ""]);
      } catch (error) {
        if (!(error instanceof RegistryUnreachableError)) throw error; // else it may come back
      }
    }
    return { kind: seen ? "ended" : "nobody" };
  }

  /** See `SessionRegistry.send`. */
  async send(clientId: string, text: string, condition: Condition): Promise<SendResult> {
    const { clock } = this.#options;
    const endMs = clock.nowMs() + SEND_MS;
    for (let waitMs = FIRST_LOOK_MS;; waitMs = Math.min(2 * waitMs, LOOK_EVERY_MS)) {
      const request = String(++this.#requests);
      const { promise: sent, resolve } = Promise.withResolvers<Delivery | undefined>();
      using _timer = clock.after(endMs - clock.nowMs(), () => resolve(undefined));
      this.#sent.set(request, resolve);
      try {
        const asked = { maybe: false };
        const args = [textOf(condition), request, text];
        const reply = await this.#ask(SCRIPTS.send, clientId, args, asked).catch((error) => {
          if (!asked.maybe) throw error;
        });
        if (!reply) return { kind: "unknown" };
        const [answer, sessionId = ""] = reply;
        if (answer === "nobody" || answer === "other") return { kind: answer };
        const delivery = await sent ?? "unknown";
        if (delivery === "sent") return { kind: "sent", sessionId };
        if (delivery !== "closed") return { kind: delivery };
      } finally {
        this.#sent.delete(request);
      }
      // it has ended, or not begun, and another may be established in a moment
      if (clock.nowMs() > endMs - LOOK_EVERY_MS) return { kind: "unsent" };
      await delay(clock, waitMs, this.#closed.signal);
    }
  }

  onMessage(message: OperationMessage): void {
    switch (message.kind) {
      case "block":
        this.#options.blocks.add(message.clientId, message.ms);
        break;
      case "send":
        this.#deliver(message);
        break;
      case "sent":
        this.#sent.get(message.request)?.(message.delivery);
    }
  }

  /** @param missed Whether messages may have been missed since the last time. */
  async onRenewed(generation: string, missed: boolean): Promise<void> {
    this.#stale ||= missed || generation !== this.#generation;
    if (!this.#stale || this.#refreshing) return;
    this.#refreshing = true;
    this.#stale = false;
    const { store, blocks } = this.#options;
    const lost = this.#generation !== "" && generation !== this.#generation;
    try {
      blocks.replace(await store.blocked(lost ? blocks : []));
      this.#generation = generation;
    } catch {
      this.#stale = true; // the next renewal asks again
    }
    this.#refreshing = false;
  }

  /** Ends all waits. */
  close(): void {
    this.#closed.abort();
    for (const resolve of this.#sent.values()) resolve(undefined);
  }

  get #isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  async #deliver({ sessionId, text, request, byNode }: NodeMessage & { kind: "send" }): Promise<void> {
    const { lines, store } = this.#options;
    const delivery = await lines.deliver(sessionId, text);
    await store.tell(byNode, `sent ${request} ${delivery}`).catch(() => {}); // they know that they do not know
  }

  /**
   * Runs a script until it has an answer.
   *
   * @param asked.maybe Becomes true before the script may run.
   * @throws {RegistryUnreachableError} when Redis does not answer, or knows too little to.
   */
  async #ask(script: string, clientId: string, args: string[], asked = { maybe: false }): Promise<string[]> {
    const { store, clock, lease, leaseMs } = this.#options;
    const endMs = clock.nowMs() + leaseMs * PATIENCE;
    let why: string;
    for (;;) {
      const { terms } = lease;
      if (!store.connected) {
        why = "Redis is not connected";
      } else if (!terms) {
        why = "this process has yet to hear from the others";
      } else {
        const { node, connection, generation, validUntilMs } = terms;
        asked.maybe = true;
        const reply = await store.operate<string[]>(script, clientId, [
          ...[node, String(connection), generation, String(Math.floor(validUntilMs))],
          ...args,
        ]);
        const [answer] = reply;
        const known = answer !== "lapsed" && answer !== "late" &&
          (answer !== "unsettled" || reply.length > 1);
        if (known) return reply;
        asked.maybe = false;
        if (answer === "unsettled") {
          why = "Redis may have lost data, and has yet to hear from all processes";
        } else {
          why = "this process has yet to renew its lease";
          lease.hurry();
        }
      }
      if (this.#isClosed || clock.nowMs() > endMs) throw new RegistryUnreachableError(why);
      await delay(clock, RETRY_MS, this.#closed.signal);
    }
  }
}

function textOf(condition: Condition): string {
  if (condition === undefined || condition === "*") return condition ?? "";
  return condition.filter((sessionId) => sessionId !== "*").join(" ") || "-"; // which nobody has
}
