/** What clients show to prove who they are, and what impostors show instead. */

import { inSeconds, signWithSecret } from "../support/tokens.ts";
import type { Random } from "./random.ts";

/** How long a token is good for: longer than any run. */
const VALID_S = 7 * 24 * 3600;

/** Somebody whom the servers know, and who wants to be somebody else. */
const OUTSIDER = "mallory";

export class Tokens {
  readonly #own = new Map<string, string>();
  readonly #false = new Map<string, (string | undefined)[]>();

  private constructor() {}

  /** @param secret That of the servers. */
  static async make(secret: string, clients: string[]): Promise<Tokens> {
    const tokens = new Tokens();
    const sign = (sub: string, validS = VALID_S, by = secret) =>
      signWithSecret(by, { sub, exp: inSeconds(validS) });
    const outsiders = await sign(OUTSIDER);
    for (const client of clients) tokens.#own.set(client, await sign(client));
    for (const [i, client] of clients.entries()) {
      const others = tokens.#own.get(clients[(i + 1) % clients.length]!);
      const forged = await sign(client, VALID_S, `not ${secret}`);
      tokens.#false.set(client, [outsiders, others, await sign(client, -1), forged, undefined]);
    }
    return tokens;
  }

  /** Proves that somebody is this client. */
  of(client: string): string {
    return this.#own.get(client)!;
  }

  /** Proves nothing of the kind; `undefined`: none is shown. */
  notOf(client: string, random: Random): string | undefined {
    return random.of(this.#false.get(client)!);
  }
}
