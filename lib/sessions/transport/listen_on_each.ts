import { addressText } from "../../service/address.ts";
import { listenError } from "../../service/errors.ts";
import { hostnamesOf, type Transport, type TransportOptions } from "./transport.ts";

/**
 * Has a transport listen on every address that a host name stands for. One that is not the first may be missing, since not
 * every machine has IPv6; one that is taken may not.
 *
 * @throws {ProgramError} when it cannot listen; the transport is closed then.
 */
export async function listenOnEach<T extends Transport>(
  transport: T,
  { hostname, flags }: Pick<TransportOptions, "hostname" | "flags">,
  listenOn: (hostname: string) => void | Promise<void>,
): Promise<T> {
  for (const address of hostnamesOf(hostname)) {
    try {
      await listenOn(address);
    } catch (error) {
      const isTaken = error instanceof Deno.errors.AddrInUse ||
        (error as { code?: string }).code === "EADDRINUSE";
      if (transport.addresses.length > 0 && !isTaken) continue;
      await transport.close();
      throw listenError(error, addressText(address, transport.port), flags);
    }
  }
  return transport;
}
