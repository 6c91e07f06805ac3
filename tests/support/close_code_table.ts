import type { AfterClose } from "../../lib/sessions/close_codes.ts";

/** A row of the table "The end of a session" in docs/sessions-protocol.md. */
export interface CloseCodeRow {
  codes: number[];
  /** Empty where it is not ours. */
  reason: string;
  /** What the reason may end with beside. */
  suffix: string;
  after: AfterClose;
  /** The longest wait before the reconnection, where the row names one. */
  withinS: number | undefined;
}

/** Reads the table of a protocol document. */
export function closeCodeTable(document: string): CloseCodeRow[] {
  const [, section] = /^## The end of a session\n([^]*?)^## /m.exec(document)!;
  const rows = section!.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((line) => {
    const [, code, reason, , advice] = line.split("|").map((cell) => cell.trim());
    const [text = "", suffix = ""] = [...reason!.matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
    return {
      codes: [...code!.matchAll(/\d{4}/g)].map(Number),
      reason: text,
      suffix,
      after: afterOf(advice!),
      withinS: Number(/up to (\d+) s/.exec(advice!)?.[1] ?? /within (\d+) s/.exec(suffix)?.[1]) || undefined,
    };
  });
}

/** The statuses of the table "answer before the upgrade" in a protocol document. */
export function refusalsOf(document: string): number[] {
  const [, section] = /^## Connecting\n([^]*?)^## /m.exec(document)!;
  const rows = section!.split("\n").filter((line) => line.startsWith("| `"));
  return rows.flatMap((line) => line.split("|")[1]!.match(/\d{3}/g)!.map(Number));
}

function afterOf(advice: string): AfterClose {
  const [first] = /reconnect with a new token|reconnect|stay away/.exec(advice) ?? [];
  if (first === "stay away") return "stay-away";
  if (first === "reconnect") return "reconnect";
  if (first !== undefined) return "renew-token";
  throw new Error(`Cannot read the advice "${advice}"`);
}
