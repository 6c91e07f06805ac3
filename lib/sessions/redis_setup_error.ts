/** What an operator has to do about a Redis that speaks TLS and is not trusted. */

import { messageOf } from "../service/errors.ts";
import type { RedisAddress } from "./redis_address.ts";

/** Who has said that a Redis is at an address: the operator (`single`), or those whom the operator has named. */
export type NamedBy = RedisAddress["kind"];

/** Why there is no connection, where time does not mend it but an operator does. */
export class RedisSetupError extends Error {
  override readonly name = "RedisSetupError";

  /** @param advice What to do, as the end of a sentence. */
  constructor(readonly problem: string, readonly advice: string, options?: ErrorOptions) {
    super(`${problem}; ${advice}`, options);
  }
}

/** How those who name a Redis come to name it as its certificate does. */
const NAMING: Record<NamedBy, string> = {
  single: "write it in --redis as its certificate names it",
  sentinel: "let the Sentinels name it as its certificate does (on each of them resolve-hostnames yes, " +
    "announce-hostnames yes and the host's name after monitor, and on every Redis replica-announce-ip)",
  cluster: "let the nodes name it as its certificate does (on each of them cluster-announce-hostname, and " +
    "cluster-preferred-endpoint-type hostname)",
};

/** What Deno and Node say of a certificate that nobody vouches for. */
const UNTRUSTED = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/**
 * What to say of an error of a connection that was being made: with what to do where TLS is to blame, or may be.
 *
 * @param host Where it was to be made to.
 * @param namedBy Who has said so.
 * @returns a `RedisSetupError` where it is certain.
 */
export function setupError(error: unknown, host: string, tls: boolean, namedBy: NamedBy): unknown {
  const { code, cert } = error as { code?: string; cert?: { subjectaltname?: string } };
  const text = messageOf(error);
  const cause = error;
  if (!tls) {
    if (code !== "ECONNRESET") return error;
    return new Error(`it hangs up (${text}), as one does that wants TLS: rediss in the place of redis`, {
      cause,
    });
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = cert?.subjectaltname?.replaceAll(/\b(DNS|IP Address):/g, "") ?? "other names";
    return new RedisSetupError(
      `its certificate is for ${names}, not for ${host}`,
      `${NAMING[namedBy]}, or have one made for ${host}`,
      { cause },
    );
  }
  if (UNTRUSTED.has(code!)) {
    return new RedisSetupError(
      `no CA that is trusted here has signed its certificate (${text})`,
      "name the file of its CA in DENO_CERT",
      { cause },
    );
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return new RedisSetupError(`its certificate is out of date (${text})`, "renew it", { cause });
  }
  // of a Redis that wants a certificate; the second where its alert has come before the library listens
  if (/CertificateRequired|Socket closed unexpectedly/.test(text)) {
    return new Error(
      `it hangs up after the handshake (${text}), as one does that wants certificates of its clients: ` +
        "tls-auth-clients no",
      { cause },
    );
  }
  return error;
}
