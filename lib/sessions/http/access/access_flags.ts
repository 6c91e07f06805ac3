/** How access is configured: for the entry point, which alone reads flags and environment. */

import { type Command, InvalidArgumentError } from "commander";
import { isLoopback } from "../../../service/address.ts";
import { messageOf, ProgramError } from "../../../service/errors.ts";
import { EXIT_USAGE, flag, list, nonEmpty, port } from "../../../service/flags.ts";
import type { AccessOptions, Identification } from "./access.ts";
import { hostNameOf } from "./host.ts";
import { originOf } from "./origin.ts";
import { AddressSet } from "./proxy_header.ts";
import { type Secret, SecretFile, secretOf, type SecretOptions } from "./secret_file.ts";

/** As long as the output of the hash function, which RFC 7518, section 3.2, asks for. */
const AUTH_SECRET: SecretOptions = { what: "the secret for tokens", minBytes: 32 };

/** Nobody counts who tries: it has to be too long to be found by trying. */
const OPERATOR_TOKEN: SecretOptions = { what: "the operators' token", minBytes: 16 };

/** The flags of `addAccessFlags`, as commander names them. */
export interface AccessFlags {
  allowOrigin?: string[];
  allowHost?: string[];
  authJwks?: string;
  authSecretFile?: string;
  authClaim: string;
  authAudience?: string;
  authIssuer?: string;
  authHeader?: string;
  trustProxy?: string[];
  operatorTokenFile?: string;
  /** Where operators are served, in the place of the clients' address. */
  operator?: { hostname: string; port: number };
}

/** What says who may connect and who may look. */
export function addAccessFlags(program: Command): Command {
  return program
    .addOption(
      flag("--allow-origin <origin>", "let pages of this origin connect too, * for all; may be repeated", {
        env: "SOLO_ALLOW_ORIGIN",
        parse: list(origin),
      }),
    )
    .addOption(
      flag(
        "--allow-host <name>",
        "be known by this name beside localhost and IP addresses, * for any; may be repeated " +
          "(default: any, where --host is not loopback)",
        { env: "SOLO_ALLOW_HOST", parse: list(hostName) },
      ),
    )
    .addOption(
      flag("--auth-jwks <url|file>", "let clients prove by a token who they are; the keys that sign them", {
        env: "SOLO_AUTH_JWKS",
        parse: keySource,
      }),
    )
    .addOption(
      flag(
        "--auth-secret-file <path>",
        "the same with a secret instead of keys (HS256); $SOLO_AUTH_SECRET holds it itself",
        { env: "SOLO_AUTH_SECRET_FILE", parse: nonEmpty },
      ),
    )
    .addOption(
      flag("--auth-claim <name>", "the claim of a token that is the client_id", {
        env: "SOLO_AUTH_CLAIM",
        parse: nonEmpty,
        default: "sub",
      }),
    )
    .addOption(
      flag("--auth-audience <text>", "what tokens have to name as their audience", {
        env: "SOLO_AUTH_AUDIENCE",
        parse: nonEmpty,
      }),
    )
    .addOption(
      flag("--auth-issuer <text>", "what tokens have to name as their issuer", {
        env: "SOLO_AUTH_ISSUER",
        parse: nonEmpty,
      }),
    )
    .addOption(
      flag("--auth-header <name>", "believe a proxy that names the client_id in this header", {
        env: "SOLO_AUTH_HEADER",
        parse: headerName,
      }),
    )
    .addOption(
      flag("--trust-proxy <address>", "where that proxy connects from, such as 10.0.0.0/8; may be repeated", {
        env: "SOLO_TRUST_PROXY",
        parse: list(address),
      }),
    )
    .addOption(
      flag(
        "--operator-token-file <path>",
        "ask for this token at /sessions, the page and /metrics; $SOLO_OPERATOR_TOKEN holds it itself",
        { env: "SOLO_OPERATOR_TOKEN_FILE", parse: nonEmpty },
      ),
    )
    .addOption(
      flag("--operator <host:port>", "serve these at an address of their own only", {
        env: "SOLO_OPERATOR",
        parse: hostAndPort,
      }),
    );
}

/**
 * What the flags mean.
 *
 * @param host The value of `--host`.
 * @param environment The value of an environment variable; only SOLO_AUTH_SECRET and SOLO_OPERATOR_TOKEN are asked for.
 * @throws {ProgramError} when they contradict each other, or a secret cannot be read; the text says what to do.
 */
export function accessOf(
  flags: AccessFlags,
  host: string,
  environment: (name: string) => string | undefined,
): AccessOptions {
  const authSecret = secretFrom(
    { flag: "--auth-secret-file", path: flags.authSecretFile },
    { name: "SOLO_AUTH_SECRET", value: environment("SOLO_AUTH_SECRET") },
    AUTH_SECRET,
  );
  const operatorToken = secretFrom(
    { flag: "--operator-token-file", path: flags.operatorTokenFile },
    { name: "SOLO_OPERATOR_TOKEN", value: environment("SOLO_OPERATOR_TOKEN") },
    OPERATOR_TOKEN,
  );
  const names = flags.allowHost ?? (isLoopback(host) ? [] : ["*"]);
  return {
    origins: flags.allowOrigin ?? [],
    hosts: names.includes("*") ? undefined : names,
    identification: identificationOf(flags, authSecret),
    operatorToken,
  };
}

function identificationOf(flags: AccessFlags, secret: Secret | undefined): Identification | undefined {
  const { authJwks, authHeader, authClaim, authAudience, authIssuer, trustProxy } = flags;
  if (authJwks !== undefined && secret) {
    // A secret beside public keys is what makes one pass for the other.
    throw usage("--auth-jwks and a secret for tokens exclude each other: keep one");
  }
  if (authHeader !== undefined && (authJwks !== undefined || secret)) {
    throw usage("--auth-header and tokens exclude each other: keep one way to say who a client is");
  }
  if ((authHeader === undefined) !== (trustProxy === undefined)) {
    throw usage("--auth-header and --trust-proxy belong together: a header, and from whom it is believed");
  }
  if (authHeader !== undefined) {
    return { kind: "header", name: authHeader, trusted: new AddressSet(trustProxy!) };
  }
  const rules = { claim: authClaim, audience: authAudience, issuer: authIssuer };
  if (authJwks !== undefined) return { kind: "jwks", source: authJwks, rules };
  if (secret) return { kind: "secret", secret, rules };
  if (authAudience !== undefined || authIssuer !== undefined) {
    throw usage("--auth-audience and --auth-issuer need --auth-jwks or --auth-secret-file");
  }
  return undefined;
}

function secretFrom(
  file: { flag: string; path: string | undefined },
  variable: { name: string; value: string | undefined },
  options: SecretOptions,
): Secret | undefined {
  if (file.path === undefined) {
    return variable.value === undefined ? undefined : secretOf(variable.value, variable.name, options);
  }
  if (variable.value === undefined) return new SecretFile(file.path, options);
  throw usage(`${file.flag} and ${variable.name} both hold ${options.what}: keep one`);
}

function usage(message: string): ProgramError {
  return new ProgramError(message, { exitCode: EXIT_USAGE });
}

function origin(text: string): string {
  const known = text === "*" ? text : originOf(text);
  if (known === undefined) {
    throw new InvalidArgumentError(
      "Give an origin, such as https://app.example or http://localhost:3000, or *.",
    );
  }
  return known;
}

function hostName(text: string): string {
  const known = text === "*" ? text : hostNameOf(text);
  if (known === undefined) {
    throw new InvalidArgumentError("Give a name without a port, such as app.example, or *.");
  }
  return known;
}

function keySource(text: string): string {
  if (text !== "" && !/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return text; // a path
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new InvalidArgumentError("Give an https: URL without a password in it, or the path of a file.");
  }
  return text;
}

function headerName(text: string): string {
  try {
    new Headers([[text, ""]]);
    return text;
  } catch {
    throw new InvalidArgumentError("Give the name of a header, such as X-Client-Id.");
  }
}

function address(text: string): string {
  try {
    new AddressSet([text]);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}

function hostAndPort(text: string): { hostname: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^\s:[\]]+)):(\d+)$/i.exec(text) ?? [];
  const hostname = bracketed ?? plain;
  if (hostname === undefined) {
    throw new InvalidArgumentError("Give an address and a port, such as 127.0.0.1:8890 or [::1]:8890.");
  }
  return { hostname, port: port(digits!) };
}
