/** Who may connect and who may look, in one place: what a server asks before it does anything else. */

import { getLogger } from "../../../service/log.ts";
import { ClientIdError, findClientId, parseClientId } from "../../client_id.ts";
import {
  type AccessRequest,
  type Admission,
  queryOf,
  type Refusal,
  refuse,
  type RequestHeaders,
} from "./decision.ts";
import { HostCheck } from "./host.ts";
import { KeySet } from "./key_set.ts";
import { Operators } from "./operators.ts";
import { OriginCheck } from "./origin.ts";
import { type AddressSet, ProxyHeader } from "./proxy_header.ts";
import type { Secret } from "./secret_file.ts";
import { findToken, protocolFor } from "./token_source.ts";
import { type TokenRules, TokenVerifier } from "./token_verifier.ts";

export type { AccessRequest, Admission, Refusal, RefusalReason, RequestHeaders } from "./decision.ts";

const log = getLogger(["solo", "access"]);

/** How a client proves who it is. */
export type Identification =
  /** Tokens, checked with a key set at a URL or in a file. */
  | { kind: "jwks"; source: string; rules: TokenRules }
  /** Tokens, checked with a secret. */
  | { kind: "secret"; secret: Secret; rules: TokenRules }
  /** What a proxy says. */
  | { kind: "header"; name: string; trusted: AddressSet };

export interface AccessOptions {
  /** Origins whose pages may use the service beside its own, as `originOf` gives them; `*` stands for all. */
  origins: readonly string[];
  /** The names by which the service may be called, as `hostNameOf` gives them; none where it does not matter. */
  hosts?: readonly string[];
  /** @default anyone may be any client */
  identification?: Identification;
  /** What operators have to know. @default anyone may look, nobody may operate */
  operatorToken?: Secret;
}

/**
 * Answers for every request, whether it may go on: `check` first and for all, then `admit` for one to connect and
 * `admitOperator` for one to look, or `admitOperation` for one to operate. With nothing configured none of them waits for anything.
 */
export class Access {
  readonly #hosts: HostCheck | undefined;
  readonly #origins: OriginCheck;
  readonly #verifier: TokenVerifier | undefined;
  readonly #proxy: ProxyHeader | undefined;
  readonly #operators: Operators | undefined;

  private constructor(options: AccessOptions, verifier: TokenVerifier | undefined) {
    const { hosts, origins, identification, operatorToken } = options;
    this.#hosts = hosts && new HostCheck(hosts);
    this.#origins = new OriginCheck(origins);
    this.#verifier = verifier;
    if (identification?.kind === "header") {
      this.#proxy = new ProxyHeader(identification.name, identification.trusted);
    }
    this.#operators = operatorToken && new Operators(operatorToken);
  }

  /**
   * Reads the keys, where there are any, and tells the log what is left open.
   *
   * @throws {ProgramError} when the keys cannot be read; the text says why.
   */
  static async open(options: AccessOptions): Promise<Access> {
    const { hosts, identification } = options;
    if (!hosts) {
      log.warn(
        "every host name is served, so a page whose name is made to lead here can use this service from a browser; " +
          "--allow-host <name> names those that are meant",
      );
    }
    if (identification?.kind === "jwks" && /^http:/i.test(identification.source)) {
      log.warn("keys come by http:, and whoever is on the way can forge them; use https: or a file");
    }
    return new Access(options, await verifierFor(identification));
  }

  /** Whether operations on sessions exist: only where there are operators. */
  get operable(): boolean {
    return this.#operators !== undefined;
  }

  /** Whether sessions may have an end that is known when they begin. */
  get expires(): boolean {
    return this.#verifier !== undefined;
  }

  /**
   * Whether a request of any kind may go on: it comes from no page of another origin, and calls the service by a name
   * of its own.
   *
   * @returns nothing where it may.
   */
  check(request: AccessRequest): Refusal | undefined {
    return this.#hosts?.refuse(request.headers.get("host")) ?? this.#origins.refuse(request);
  }

  /**
   * Whose session a request to connect would have.
   *
   * @param peer Whose IP address is asked for only where it matters: it costs a system call.
   * @returns at once where there are no tokens to be checked.
   */
  admit(
    request: AccessRequest,
    peer: { readonly remoteAddress: string },
  ): Admission | Refusal | Promise<Admission | Refusal> {
    const query = queryOf(request.url);
    const protocol = protocolFor(request.headers);
    try {
      if (this.#verifier) return this.#byToken(this.#verifier, request.headers, query, protocol);
      if (this.#proxy) {
        const clientId = this.#proxy.identify(request.headers, peer.remoteAddress);
        if (typeof clientId !== "string") return clientId;
        return admitAs({ clientId }, findClientId(new URLSearchParams(query)), protocol);
      }
      return { kind: "admitted", clientId: parseClientId(query), protocol };
    } catch (error) {
      if (!(error instanceof ClientIdError)) throw error;
      return refuse("bad-request", 400, error.message);
    }
  }

  /**
   * Whether a request to look at sessions may go on.
   *
   * @returns nothing where it may, as always where there is no operators' token.
   */
  admitOperator({ headers }: AccessRequest): Refusal | undefined {
    return this.#operators?.refuse(headers);
  }

  /**
   * Whether a request to operate on sessions may go on.
   *
   * @returns nothing where it may.
   */
  admitOperation(request: AccessRequest): Refusal | undefined {
    return OriginCheck.refuseOthers(request) ?? this.admitOperator(request);
  }

  #byToken(
    verifier: TokenVerifier,
    headers: RequestHeaders,
    query: string,
    protocol: "solo" | undefined,
  ): Refusal | Promise<Admission | Refusal> {
    const parameters = new URLSearchParams(query);
    const asked = findClientId(parameters);
    const token = findToken(headers, parameters);
    if (typeof token === "object") return token;
    if (token === undefined) return unauthorized();
    return verifier.verify(token).then((identity) =>
      identity ? admitAs(identity, asked, protocol) : unauthorized()
    );
  }
}

async function verifierFor(identification: Identification | undefined): Promise<TokenVerifier | undefined> {
  switch (identification?.kind) {
    case "jwks":
      return new TokenVerifier(await KeySet.open(identification.source), identification.rules);
    case "secret":
      return new TokenVerifier(identification.secret, identification.rules);
    default:
      return undefined;
  }
}

/** @param asked The `client_id` in the query, where there is one: it may not be another's. */
function admitAs(
  identity: { clientId: string; endsAtMs?: number },
  asked: string | undefined,
  protocol: "solo" | undefined,
): Admission | Refusal {
  if (asked !== undefined && asked !== identity.clientId) {
    return refuse("identity", 403, "client_id is not yours: leave it out, or connect as who you are");
  }
  return { kind: "admitted", ...identity, protocol };
}

/** Says nothing of what is wrong with a token: it would help to make a better one. */
function unauthorized(): Refusal {
  return refuse("token", 401, "a valid token is needed", { "www-authenticate": 'Bearer realm="Solo"' });
}
