/** What the rules of all promises judge by, and where they write down what they have found. */

import type { TransportName } from "../../lib/sessions/transport/transport.ts";
import type { Model } from "./model.ts";

export interface Violation {
  /** 1 to 6 as the design has them; 0: the cluster did not come back, or a process died by itself. */
  promise: 0 | 1 | 2 | 3 | 4 | 5 | 6;
  at: number;
  text: string;
  /** How long there were two sessions of one client. */
  overlapMs?: number;
}

export interface CheckerOptions {
  leaseMs: number;
  /** @default "node" */
  transport?: TransportName;
  /**
   * What others that work on the machine meanwhile may add to the time in which a peer that does not answer is cut, and to that
   * in which a server reaches a Redis that is back, ms. @default 0
   */
  othersMs?: number;
}

/** Two stamps of one process that are closer than this say nothing about an order; a longer lag is in the history. */
export const RESOLUTION_MS = 6;

/** How often a lease is renewed, as a part of it; so much less than a lease may be left when contact is lost. */
export const RENEWAL = 1 / 20;

/**
 * What a machine may add to a deadline that a server keeps; on a busy one it is also as long as processes of clients had
 * to stand still meanwhile.
 */
const SLACK_MS = 300;

export const OPCODE_CLOSE = 8;
export const REPLACED = 4409;
export const TRY_AGAIN = 1013;

export class Case {
  readonly violations: Violation[] = [];
  readonly leaseMs: number;
  readonly transport: TransportName;
  readonly slackMs: number;
  readonly othersMs: number;

  constructor(readonly model: Model, { leaseMs, transport = "node", othersMs = 0 }: CheckerOptions) {
    this.leaseMs = leaseMs;
    this.transport = transport;
    this.slackMs = SLACK_MS + model.longestLagMs;
    this.othersMs = othersMs;
  }

  violation(promise: Violation["promise"], at: number, text: string, overlapMs?: number): void {
    this.violations.push({ promise, at, text, ...(overlapMs !== undefined && { overlapMs }) });
  }
}

/** For who reads the verdict. */
export function ms(value: number): string {
  return `${Math.round(value)} ms`;
}
