/** Why connections end, in words for the log and in kinds for counting. */

/**
 * Why the server ended a connection:
 * - `protocol`: it sent what is no request
 * - `unknown-task`: it named a task that is not known
 * - `idle`: it sent nothing for too long
 * - `slow-request`: it took too long to send a request to its end
 * - `slow-reader`: it took too long to read its replies
 * - `memory`: it held most when all connections together held too much
 * - `failure`: the system said so
 */
export const END_KINDS = [
  "protocol",
  "unknown-task",
  "idle",
  "slow-request",
  "slow-reader",
  "memory",
  "failure",
] as const;
export type EndKind = (typeof END_KINDS)[number];

/** Why one connection was ended. */
export interface EndReason {
  readonly kind: EndKind;
  /** One line. */
  readonly text: string;
}
