/** A client of ws-server for browsers, Deno and Node 22. What it does, and why: docs/sessions-protocol.md */

/** After these a client that came again would only be closed again, or would push out another. */
const STAY_AWAY = [1002, 1007, 1008, 1009, 4403, 4408, 4409];
/** The token has expired. */
const EXPIRED = 4401;
/** Too many takeovers of this client within a minute, which has to pass. */
const CROWDED = 4429;

/** How long it may take until there is a session; a server that says nothing for longer is given up. */
const PATIENCE_MS = 30_000;
/** Something has to be sent now and then: or the system never finds out that nobody is there to take it. */
const BEAT_MS = 15_000;
/** A beat that is late by more has been asleep with its machine (a hidden tab is late by a minute). */
const ASLEEP_MS = 120_000;

/**
 * @typedef {object} Options
 * @property {string} [clientId] may be left out where the token names the client
 * @property {string | (() => string | Promise<string>)} [token] a JWT; a function is asked before each connection
 * @property {(sessionId: string) => void} [onSession] there is a session, the first one or another
 * @property {(text: string) => void} [onMessage] a message to this session
 * @property {(end: { code: number, reason: string, waitMs?: number }) => void} [onEnd] a connection has ended, or did
 *   not come about (1006); `waitMs` is the wait before the next, and missing where the client stays away
 */

/**
 * Connects, and does after each end of the connection what the protocol asks for, until `close` is called.
 *
 * @param {string | URL} url ws:, wss:, http: or https:; in a page it may be relative
 * @param {Options} options
 * @param {Pick<typeof globalThis, "WebSocket" | "setTimeout" | "clearTimeout" | "Date" | "Math">} [world] for tests
 * @returns {{ close(): void }} `close` ends it for good: nothing is called any more
 * @throws {TypeError} where `url` is none
 */
export function connect(url, { clientId, token, onSession, onMessage, onEnd }, world = globalThis) {
  const { WebSocket, setTimeout, clearTimeout, Date, Math } = world;
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace("http", "ws");
  if (clientId !== undefined) address.searchParams.set("client_id", clientId);
  /** @type {WebSocket | undefined} */
  let socket;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let attempt = 0;
  let closed = false;

  async function open() {
    try {
      const proof = typeof token == "function" ? await token() : token;
      if (!closed) listen(new WebSocket(address, proof ? ["solo", "solo.token." + proof] : []));
    } catch (error) {
      end(1006, String(error));
    }
  }

  /** @param {WebSocket} mine */
  function listen(mine) {
    socket = mine;
    let established = false;
    mine.onmessage = ({ data }) => {
      if (mine != socket) return;
      if (established) return onMessage?.(data);
      established = true;
      attempt = 0;
      beat();
      onSession?.(data);
    };
    mine.onclose = ({ code, reason }) => mine == socket && end(code || 1006, reason);
    // Node has no `close` event for a connection that did not come about; where there is one, it comes first
    mine.onerror = () => setTimeout(() => mine == socket && end(1006, ""), 0);
    timer = setTimeout(end, PATIENCE_MS, 1006, "");
  }

  function beat() {
    clearTimeout(timer);
    socket?.send("");
    const dueMs = Date.now() + BEAT_MS;
    timer = setTimeout(() => {
      if (socket?.readyState != 1 || Date.now() - dueMs > ASLEEP_MS) end(1006, "");
      else beat();
    }, BEAT_MS);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  function end(code, reason) {
    if (closed) return;
    leave();
    let waitMs;
    if (!STAY_AWAY.includes(code) && (code != EXPIRED || typeof token == "function")) {
      const within = / within (\d{1,5}) s$/.exec(reason)?.[1] ?? (code == CROWDED ? 60 : 0);
      waitMs = Math.random() * (1000 * +within || Math.min(30_000, 500 * 2 ** attempt++));
      timer = setTimeout(open, waitMs);
    }
    onEnd?.({ code, reason, waitMs });
  }

  function leave() {
    clearTimeout(timer);
    const left = socket;
    socket = undefined;
    left?.close(1000);
  }

  open();
  return {
    close() {
      closed = true;
      leave();
    },
  };
}
