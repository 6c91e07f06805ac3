/** Where what is random in a test comes from: the report of one that fails says its seed. */

/** `SOLO_SEED`, or a new one in each run. */
const SEED = Deno.env.get("SOLO_SEED") ?? String(crypto.getRandomValues(new Uint32Array(1))[0]);

/** The seeds that the running test has used; the harness empties it. */
export const usedSeeds: string[] = [];

/**
 * Says which seed a test uses.
 *
 * @param seed @default that of this run
 */
export function useSeed(seed = SEED): string {
  usedSeeds.push(seed);
  return seed;
}
