import { messageOf } from "../../../service/errors.ts";
import { getLogger } from "../../../service/log.ts";
import { RedisSetupError } from "../../redis_setup_error.ts";

const log = getLogger(["solo", "registry"]);

/** So many reasons are told of one outage; some name a port, and so are never the same. */
const MAX_REASONS = 8;

/**
 * Says in the log that Redis is away and, as its operator may have to do something about it, what keeps us from coming back:
 * each reason once.
 */
export class Outage {
  readonly #reasons = new Set<string>();

  /**
   * A connection was lost or could not be made.
   *
   * @param begins Whether Redis was within reach until now.
   * @param starting Whether the program has yet to start: it says itself what keeps it from that.
   */
  hear(error: Error, { begins, starting }: { begins: boolean; starting: boolean }): void {
    const text = messageOf(error);
    const isNews = !this.#reasons.has(text) && this.#reasons.size < MAX_REASONS;
    if (isNews) this.#reasons.add(text);
    if (begins) {
      log.warn("Redis is lost: {error}; sessions live on until the lease ends", { error: text });
    } else if (isNews && !starting) {
      const level = error instanceof RedisSetupError ? "error" : "warn"; // it does not end by itself
      log[level]("Redis is still out of reach: {error}; trying again", { error: text });
    }
  }

  over(): void {
    this.#reasons.clear();
  }
}
