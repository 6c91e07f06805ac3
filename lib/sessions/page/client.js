/** A client of the service, as any client should behave. */

/** @typedef {"connecting" | "waiting" | "established" | "closing" | "closed" | "retrying"} ClientState */

/** @typedef {{ code: number, reason: string, after: "reconnect" | "stay-away" }} CloseCode */

/** The waits before a reconnection, as docs/sessions-protocol.md asks for them. */
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;

/** The table of close codes, by name; the server's own. */
const closeCodes = fetch("page/close_codes.json").then((answer) => answer.json());

/**
 * What a close means, by the server's table.
 *
 * @param {{ code: number, reason: string }} close
 * @returns {Promise<(CloseCode & { name: string }) | undefined>} `undefined` where the server did not send it
 */
export async function meaningOf({ code, reason }) {
  /** @type {Record<string, CloseCode>} */
  const table = await closeCodes.catch(() => ({}));
  const known = Object.entries(table).filter(([, entry]) => entry.code === code);
  const [name, entry] = known.find(([, entry]) => entry.reason === reason) ?? known[0] ?? [];
  return name && entry ? { name, ...entry } : undefined;
}

export class Client {
  /** @type {ClientState} */
  state = "closed";
  /** While it is established. */
  sessionId = "";
  /** @type {{ code: number, reason: string } | undefined} */
  lastClose;
  #onChange;
  /** @type {WebSocket | undefined} */
  #socket;
  #attempt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;

  /**
   * @param {string} clientId
   * @param {() => void} onChange
   */
  constructor(clientId, onChange) {
    this.clientId = clientId;
    this.#onChange = onChange;
  }

  connect() {
    clearTimeout(this.#retry);
    const url = new URL("./", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("client_id", this.clientId);
    const socket = this.#socket = new WebSocket(url);
    socket.onopen = () => this.#become("waiting");
    socket.onmessage = ({ data }) => {
      this.#attempt = 0;
      this.#become("established", data);
    };
    socket.onclose = (close) => this.#onClose(close);
    this.#become("connecting");
  }

  disconnect() {
    clearTimeout(this.#retry);
    if (!this.#socket || this.#socket.readyState === WebSocket.CLOSED) return this.#become("closed");
    this.#become("closing");
    this.#socket.close(1000);
  }

  /** @param {CloseEvent} close */
  async #onClose({ code, reason }) {
    const asked = this.state === "closing";
    this.lastClose = { code, reason };
    this.#become("closed");
    if (asked) return;
    const meaning = await meaningOf({ code, reason });
    if (meaning?.after === "stay-away" || this.state !== "closed") return;
    const waitMs = Math.random() * Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt++);
    this.#retry = setTimeout(() => this.connect(), waitMs);
    this.#become("retrying");
  }

  /**
   * @param {ClientState} state
   * @param {string} [sessionId]
   */
  #become(state, sessionId = "") {
    this.state = state;
    this.sessionId = sessionId;
    this.#onChange();
  }
}
