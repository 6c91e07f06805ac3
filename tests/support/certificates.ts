/** A certificate authority of the test's own, and certificates for Redises by it. */

import assert from "node:assert/strict";

/** What a Redis with nothing but TLS needs, and whoever connects to it: PEM files. */
export interface Tls {
  /** The name or address of the machine in its certificate. */
  host: string;
  certificate: string;
  key: string;
  /** Of those whose certificates it trusts, and who has signed its own. */
  ca: string;
}

export class CertificateAuthority implements AsyncDisposable {
  readonly #folder: string;
  #issued = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(): Promise<CertificateAuthority> {
    const authority = new CertificateAuthority(await Deno.makeTempDir({ prefix: "solo-ca-" }));
    await authority.#openssl(
      "req",
      "-x509",
      ...NEW_KEY,
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-subj",
      "/CN=CA",
    );
    return authority;
  }

  /** What a process trusts that has it in DENO_CERT. */
  get certificate(): string {
    return `${this.#folder}/ca.pem`;
  }

  /**
   * Another certificate for a name of this machine, `localhost` or an IP address.
   *
   * @param days How long it is valid; a negative number makes one that is out of date.
   */
  async issue(host: string, { days = 1 }: { days?: number } = {}): Promise<Tls> {
    const name = /^[\d.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`;
    const file = `${this.#issued++}-${host}`;
    const [key, request, certificate] = [`${file}.key`, `${file}.csr`, `${file}.pem`];
    const subject = ["-subj", "/CN=redis", "-addext", `subjectAltName=${name}`];
    await this.#openssl("req", ...NEW_KEY, "-keyout", key, "-out", request, ...subject);
    const by = ["-copy_extensions", "copy", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    await this.#openssl("x509", "-req", "-in", request, ...by, "-out", certificate, "-days", String(days));
    const path = (file: string) => `${this.#folder}/${file}`;
    return { host, certificate: path(certificate), key: path(key), ca: path("ca.pem") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #openssl(...args: string[]): Promise<void> {
    const { success, stderr } = await new Deno.Command("openssl", {
      args,
      cwd: this.#folder,
      stderr: "piped",
    })
      .output();
    assert.ok(success, new TextDecoder().decode(stderr));
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/**
 * How a Redis or a Sentinel listens, by the names of its settings; with a certificate it speaks nothing but TLS: with clients,
 * replicas, other nodes and Sentinels.
 */
export function listening(port: number, tls: Tls | undefined): [string, string][] {
  if (!tls) return [["port", String(port)], ["bind", "127.0.0.1"]];
  return [
    ["port", "0"],
    ["tls-port", String(port)],
    ["bind", "127.0.0.1"],
    ["tls-cert-file", tls.certificate],
    ["tls-key-file", tls.key],
    ["tls-ca-cert-file", tls.ca],
    ["tls-auth-clients", "no"],
    ["tls-replication", "yes"],
  ];
}

/** What tells redis-cli where to find one that listens so. */
export function reaching(port: number, tls: Tls | undefined): string[] {
  return ["-p", String(port), ...(tls ? ["--tls", "--cacert", tls.ca] : [])];
}

/** Whether they have to be told to go by names, since their certificates do. */
export function isNamed(tls: Tls | undefined): tls is Tls {
  return tls !== undefined && /[a-z]/i.test(tls.host);
}

/** What a Redis is named where somebody has to reach it. */
export function hostOf(tls: Tls | undefined): string {
  return tls?.host ?? "127.0.0.1";
}
