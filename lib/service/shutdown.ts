const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** The wish of the operator to end the program. */
export interface Shutdown extends Disposable {
  /** Aborted by the first SIGINT or SIGTERM; the reason is the signal's name. */
  readonly signal: AbortSignal;
}

/**
 * Listens for SIGINT and SIGTERM until disposed.
 *
 * @param onSecond Called on every signal after the first: the operator does not want to wait any longer.
 */
export function listenForShutdown(onSecond: () => void): Shutdown {
  const controller = new AbortController();
  const handlers = SIGNALS.map((name) => {
    const handler = () => controller.signal.aborted ? onSecond() : controller.abort(name);
    Deno.addSignalListener(name, handler);
    return () => Deno.removeSignalListener(name, handler);
  });
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => handlers.forEach((remove) => remove()),
  };
}

/**
 * Waits until a signal is aborted; not at all where it is so already, as by a SIGTERM during the start.
 *
 * @example
 * ```ts
 * await aborted(AbortSignal.timeout(1));
 * await aborted(AbortSignal.abort());
 * ```
 */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
