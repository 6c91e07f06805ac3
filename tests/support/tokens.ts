/** Identity providers: keys, key sets and tokens. */

import { exportJWK, generateKeyPair, type JSONWebKeySet, type JWK, type JWTPayload, SignJWT } from "jose";
import { temporaryFolder } from "./temporary_folder.ts";

/** A key pair that signs tokens. */
export interface Signer {
  readonly publicJwk: JWK;
  /** A token with these claims in which the key is named, where it has a name. */
  sign(claims: JWTPayload, header?: Record<string, unknown>): Promise<string>;
}

/** @param kid The name of the key; without one tokens name none. */
export async function signer(alg: string, kid?: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const named = kid === undefined ? {} : { kid };
  return {
    publicJwk: { ...await exportJWK(publicKey), ...named },
    sign: (claims, header = {}) =>
      new SignJWT(claims).setProtectedHeader({ alg, ...named, ...header }).sign(privateKey),
  };
}

/** A token that is signed with a secret. */
export function signWithSecret(
  secret: string | Uint8Array,
  claims: JWTPayload,
  alg = "HS256",
): Promise<string> {
  const key = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  return new SignJWT(claims).setProtectedHeader({ alg }).sign(key);
}

export function keySetOf(...signers: Signer[]): JSONWebKeySet {
  return { keys: signers.map(({ publicJwk }) => publicJwk) };
}

/** Unix time in seconds, as tokens have it. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

/** A web server that shows whatever it is told to, and counts who asked. */
export class KeyServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** How often it was asked. */
  asked = 0;

  /** @param answer What it says; may be replaced at any time. */
  constructor(public answer: () => Response | Promise<Response>) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
      this.asked++;
      return this.answer();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/keys.json`;
  }

  show(keys: JSONWebKeySet): void {
    this.answer = () => Response.json(keys);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A file in a folder of its own. */
export async function temporaryFile(content: string): Promise<AsyncDisposable & { path: string }> {
  const folder = await temporaryFolder();
  const path = `${folder.path}/file`;
  await Deno.writeTextFile(path, content, { mode: 0o600 });
  return { path, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}
