/** What a token says of a client, where it is to be believed. */

import { errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from "jose";
import { messageOf } from "../../../service/errors.ts";
import { getLogger } from "../../../service/log.ts";
import { checkClientId, ClientIdError } from "../../client_id.ts";
import { type Keys, KeySet } from "./key_set.ts";
import type { Secret } from "./secret_file.ts";
import { SeenTokens } from "./seen_tokens.ts";

const log = getLogger(["solo", "access"]);

/** A longer token is refused before anything is computed. Those of identity providers have one or two thousand. */
const MAX_TOKEN_BYTES = 8 * 1024;

/**
 * How far the issuer's clock may be ahead of ours, for `nbf`. None for `exp`: a session ends with its token, so there
 * must not be one that begins after it.
 */
const CLOCK_TOLERANCE_S = 5;

/** What a key set may be asked for. HS256 is not among them: it would take a public key for a secret. */
const PUBLIC_KEY_ALGORITHMS = ["RS256", "ES256", "EdDSA"];

/** A client, by its token. */
export interface TokenIdentity {
  clientId: string;
  /** The token's `exp`, Unix ms, where it has one. */
  endsAtMs?: number;
}

export interface TokenRules {
  /** The claim that is the `client_id`. */
  claim: string;
  /** Whom the token is for; without it one that names an audience is not for us (RFC 7519, section 4.1.3). */
  audience?: string;
  /** Who has issued it. @default anyone who has a key */
  issuer?: string;
}

/** How signatures are checked. */
interface Checker {
  /** With what it is done now; not the same as before when keys have changed. */
  readonly keys: unknown;
  check(token: string, options: JWTVerifyOptions): Promise<JWTPayload>;
}

/** Checks tokens: signed JSON Web Tokens (RFC 7519) in compact form. */
export class TokenVerifier {
  readonly #checker: Checker;
  readonly #rules: TokenRules;
  readonly #nowMs: () => number;
  readonly #seen = new SeenTokens<TokenIdentity>();
  #audienceMissed = false;

  /**
   * @param keys A key set, for RS256, ES256 and EdDSA as each key permits; or a secret, for HS256 alone.
   * @param nowMs Unix time, ms. @default the system's clock
   */
  constructor(keys: KeySet | Secret, rules: TokenRules, nowMs: () => number = Date.now) {
    this.#checker = keys instanceof KeySet ? byKeySet(keys) : bySecret(keys);
    this.#rules = rules;
    this.#nowMs = nowMs;
  }

  /**
   * @returns nothing where the token is not to be believed. The log says why, at `debug`; whoever sent it is not told.
   */
  async verify(token: string): Promise<TokenIdentity | undefined> {
    try {
      if (token.length > MAX_TOKEN_BYTES) throw new TokenError("it is too long");
      const { keys } = this.#checker;
      let identity = this.#seen.get(token, keys);
      if (!identity) {
        identity = this.#identity(await this.#checker.check(token, this.#options()));
        this.#seen.add(token, keys, identity);
      }
      if (identity.endsAtMs !== undefined && identity.endsAtMs <= this.#nowMs()) {
        throw new TokenError("it has expired");
      }
      return identity;
    } catch (error) {
      const why = messageOf(error);
      if (isExpected(error)) log.debug("a token is refused: {why}", { why });
      else log.warn("a token cannot be checked, and is refused: {why}", { why }); // a key that is too short, for one
      return undefined;
    }
  }

  #options(): JWTVerifyOptions {
    const { audience, issuer } = this.#rules;
    return { audience, issuer, clockTolerance: CLOCK_TOLERANCE_S, currentDate: new Date(this.#nowMs()) };
  }

  /** What the claims of a token say that is well signed and in time but for `exp`. */
  #identity(payload: JWTPayload): TokenIdentity {
    const { claim, audience } = this.#rules;
    if (payload.aud !== undefined && audience === undefined) {
      if (!this.#audienceMissed) {
        log.warn("tokens name an audience and are refused: --auth-audience says which one is this service");
      }
      this.#audienceMissed = true;
      throw new TokenError("it is for an audience, and --auth-audience is not given");
    }
    const clientId = Object.hasOwn(payload, claim) ? payload[claim] : undefined;
    if (typeof clientId !== "string") throw new TokenError(`the claim ${claim} is missing or no text`);
    checkClientId(clientId);
    return payload.exp === undefined ? { clientId } : { clientId, endsAtMs: payload.exp * 1000 };
  }
}

/** A token that is well signed and yet not good. */
class TokenError extends Error {
  override readonly name = "TokenError";
}

function isExpected(error: unknown): boolean {
  return error instanceof TokenError || error instanceof ClientIdError || error instanceof errors.JOSEError;
}

function byKeySet(set: KeySet): Checker {
  return {
    get keys() {
      return set.keys;
    },
    async check(token, rest) {
      const options = { ...rest, algorithms: PUBLIC_KEY_ALGORITHMS };
      const { keys } = set;
      try {
        return await verifyWith(keys, token, options);
      } catch (error) {
        if (!mayBeOfNewKey(error)) throw error;
        await set.refresh();
        if (set.keys === keys) throw error;
        return await verifyWith(set.keys, token, options);
      }
    },
  };
}

/** Checks a token by the key that it names; where it names none and several could be meant, by each of them. */
async function verifyWith(keys: Keys, token: string, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (error) {
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** Whether other keys could make a difference: the key is not known, or is another one of the same name or of none. */
function mayBeOfNewKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWSSignatureVerificationFailed;
}

function bySecret(secret: Secret): Checker {
  let imported: { value: string; key: Promise<CryptoKey> } | undefined;
  return {
    get keys() {
      return secret.value;
    },
    async check(token, options) {
      const { value } = secret;
      if (imported?.value !== value) {
        const bytes = new TextEncoder().encode(value);
        const algorithm = { name: "HMAC", hash: "SHA-256" };
        imported = { value, key: crypto.subtle.importKey("raw", bytes, algorithm, false, ["verify"]) };
      }
      return (await jwtVerify(token, await imported.key, { ...options, algorithms: ["HS256"] })).payload;
    },
  };
}
