/** Where a Redis is, as its users write it. */

/** Whom to ask, and as whom. */
export interface RedisAddress {
  /** One Redis, those who know which one is the primary, or nodes of a cluster. */
  kind: "single" | "sentinel" | "cluster";
  nodes: { host: string; port: number }[];
  tls: boolean;
  username?: string;
  password?: string;
  database?: number;
  /** Of the Sentinels. */
  sentinel?: { name: string; username?: string; password?: string };
}

const SENTINEL_PORT = 26_379;
const REDIS_PORT = 6379;

const FORMS =
  "Give redis://<host>:<port>, redis+sentinel://<host>:<port>,…/<name> or redis+cluster://<host>:<port>,…; " +
  "with rediss in the place of redis for TLS";

/**
 * Reads `redis://`, `redis+sentinel://` and `redis+cluster://` addresses, and the same with `rediss`.
 *
 * @throws {TypeError} when it is none; the text says what to give, and holds no password.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const { nodes, sentinel, password } = parseRedisAddress("redis+sentinel://solo:p%40ss@a,b:7000/mymaster");
 * assert.deepEqual(nodes, [{ host: "a", port: 26379 }, { host: "b", port: 7000 }]);
 * assert.deepEqual([sentinel?.name, password], ["mymaster", "p@ss"]);
 * assert.throws(() => parseRedisAddress("redis+sentinel://a:26379"), /name of the primary/);
 * ```
 */
export function parseRedisAddress(text: string): RedisAddress {
  const parts = text.match(
    /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?([^@?#]*)(?:\?([^@#]*))?$/,
  );
  if (!parts) {
    throw new TypeError(
      text.includes("@") ? `${FORMS}; in a password @, /, ?, # and % are %40, %2F, %3F, %23 and %25` : FORMS,
    );
  }
  const [, tls, kind = "single", user = "", hosts, path, query = ""] = parts;
  const list = hosts!.split(",");
  if (kind === "single" && list.length > 1) {
    throw new TypeError("Give one address, or say redis+sentinel:// or redis+cluster:// for several");
  }
  const colon = user.includes(":") ? user.indexOf(":") : user.length;
  const address: RedisAddress = {
    kind: kind as RedisAddress["kind"],
    nodes: list.map((node) => parseNode(node, kind === "sentinel" ? SENTINEL_PORT : REDIS_PORT)),
    tls: tls !== "",
    username: decoded(user.slice(0, colon)),
    password: decoded(user.slice(colon + 1)),
  };
  const words = path!.split("/").map(decoded);
  if (kind === "sentinel") {
    const name = words.shift();
    if (name === undefined) {
      throw new TypeError(
        "Give the name of the primary behind the Sentinels, as in redis+sentinel://a:26379,b:26379/mymaster",
      );
    }
    address.sentinel = { name, ...parseQuery(query) };
  } else if (query !== "") {
    throw new TypeError("Give nothing after a question mark here");
  }
  const [database, ...more] = words;
  if (database !== undefined) {
    if (kind === "cluster") throw new TypeError("Give no database: a cluster has only one");
    if (!/^\d{1,9}$/.test(database) || more.length > 0) throw new TypeError("Give the database as a number");
    address.database = Number(database);
  }
  return address;
}

function parseNode(text: string, defaultPort: number): { host: string; port: number } {
  const [, bracketed, plain, port = String(defaultPort)] =
    text.match(/^(?:\[([\da-f:.]+)\]|([^:\s[\]]+))(?::(\d+))?$/i) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new TypeError(
      `Give each address as <host>:<port>, the port from 1 to 65535; ${JSON.stringify(text)} is none`,
    );
  }
  return { host, port: Number(port) };
}

function parseQuery(query: string): { username?: string; password?: string } {
  const found: { username?: string; password?: string } = {};
  for (const pair of query.split("&").filter(Boolean)) {
    const [, key, value] = pair.match(/^sentinel_(username|password)=(.*)$/) ?? [];
    if (!key) throw new TypeError("Give only sentinel_username and sentinel_password after a question mark");
    found[key as "username" | "password"] = decoded(value!);
  }
  return found;
}

/** The text that is meant, `undefined` for none. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text) || undefined;
  } catch {
    throw new TypeError("Write % as %25 in a name or password");
  }
}
