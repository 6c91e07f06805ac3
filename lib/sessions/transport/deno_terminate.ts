/**
 * Drops the TCP connection of a WebSocket at once.
 *
 * After `close()` the platform waits for the peer's answer without a limit: a frozen or hostile peer would keep the
 * socket, and its descriptor, for ever. There is no public way out, so this reaches for the resource inside. Everything
 * about that stands in this file.
 *
 * **Never touch the socket afterwards**: `send` and `bufferedAmount` would end the process.
 *
 * @returns whether it was done; not where this version of Deno is not known to survive it, or hides the resource.
 */
export function terminate(socket: WebSocket): boolean {
  if (!SUPPORTED) return false;
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "[[rid]]");
  const resourceId = symbol && (socket as unknown as Record<symbol, unknown>)[symbol];
  if (typeof resourceId !== "number") return false;
  core!.tryClose!(resourceId); // fires `close` with 1005; harmless where it is closed already
  return true;
}

interface Core {
  tryClose?(resourceId: number): void;
}

// deno-lint-ignore no-explicit-any -- the one place that looks behind the public interface
const core: Core | undefined = (Deno as any)[(Deno as any).internal]?.core;

/** Older versions panic on a `send` that the platform itself does later. */
const SUPPORTED = typeof core?.tryClose === "function" && atLeast(2, 9);

function atLeast(major: number, minor: number): boolean {
  const [ours = 0, oursMinor = 0] = Deno.version.deno.split(".").map(Number);
  return ours > major || (ours === major && oursMinor >= minor);
}
