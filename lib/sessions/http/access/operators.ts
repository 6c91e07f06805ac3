/** Who may look and operate: whoever knows the operators' token. */

import { createHash, timingSafeEqual } from "node:crypto";
import { type Refusal, refuse, type RequestHeaders } from "./decision.ts";
import type { Secret } from "./secret_file.ts";

/** What the password of HTTP Basic is encoded in, and what makes a browser ask for it (RFC 7617). */
const CHALLENGE = 'Basic realm="Solo operators", charset="UTF-8", Bearer realm="Solo operators"';

/** Asks for the operators' token, by `Authorization: Bearer` or as the password of HTTP Basic with any name. */
export class Operators {
  readonly #token: Secret;

  constructor(token: Secret) {
    this.#token = token;
  }

  /** @returns nothing where the request may go on. */
  refuse(headers: RequestHeaders): Refusal | undefined {
    const given = givenToken(headers.get("authorization") ?? "");
    if (given !== undefined && isSame(given, this.#token.value)) return undefined;
    return refuse("operator", 401, "this is for operators: send their token", {
      "www-authenticate": CHALLENGE,
    });
  }
}

/** The token in an `Authorization` header. */
function givenToken(authorization: string): string | undefined {
  const [, scheme, credentials] = /^(bearer|basic) +(\S+) *$/i.exec(authorization) ?? [];
  if (scheme === undefined || credentials === undefined) return undefined;
  if (scheme.toLowerCase() === "bearer") return credentials;
  let pair: string;
  try {
    pair = new TextDecoder().decode(
      Uint8Array.from(atob(credentials), (character) => character.charCodeAt(0)),
    );
  } catch {
    return undefined; // not base64
  }
  const colon = pair.indexOf(":");
  return colon < 0 ? undefined : pair.slice(colon + 1);
}

/** Takes the same time wherever two texts differ and however long the secret is: their digests are compared. */
function isSame(given: string, secret: string): boolean {
  return timingSafeEqual(digest(given), digest(secret));
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
