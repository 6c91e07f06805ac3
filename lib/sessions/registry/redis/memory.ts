import type { HeldLease } from "./redis_store.ts";

/**
 * What this process remembers of the cluster: with it Redis can be told, after a loss of its data, who may have sessions
 * (see lua/generation.lua).
 */
export class Memory {
  /** In which all our sessions are announced; `""` for none. */
  #generation = "";
  /** What was said in it last. */
  #joins = "0";
  #nodes: string[] = [];
  /** The last word of Redis, whatever its generation. */
  #last: HeldLease | undefined;
  /** What the clock of the epochs has shown, and since when at the latest, so that we never reckon too little. */
  #epoch = { us: 0, atMs: 0 };

  get generation(): string {
    return this.#generation;
  }

  /** What a renewal tells Redis. @param nowMs By the monotonic clock. */
  told(nowMs: number): { generation: string; joins: string; nodes: string[]; epochUs: number } {
    const { us, atMs } = this.#epoch;
    return {
      generation: this.#generation,
      joins: this.#joins,
      nodes: this.#nodes,
      epochUs: us === 0 ? 0 : us + (nowMs - atMs) * 1000,
    };
  }

  /** Redis has answered a renewal that was sent at `sentAtMs`. */
  hear(reply: HeldLease, sentAtMs: number): void {
    this.#last = reply;
    this.#epoch = { us: reply.epochUs, atMs: sentAtMs };
    if (reply.generation === this.#generation) this.#keep(reply);
  }

  /** All our sessions are announced in a generation. */
  announced(generation: string): void {
    this.#generation = generation;
    this.#joins = "0";
    this.#nodes = [];
    if (this.#last?.generation === generation) this.#keep(this.#last);
  }

  /** We have lost our lease: what we know of others may be out of date. */
  forget(): void {
    this.#generation = "";
    this.#joins = "0";
    this.#nodes = [];
    this.#last = undefined;
  }

  #keep({ joins, nodes }: HeldLease): void {
    this.#joins = joins;
    this.#nodes = nodes;
  }
}
