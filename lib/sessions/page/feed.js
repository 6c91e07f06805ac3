/** The events of the service, from one connection to the next. */

/** @import { Session } from "./sessions.js" */

/** @typedef {"connecting" | "loading" | "live" | "paused" | "reconnecting"} FeedStatus */

/** The server is heard every 10 s; a connection that is silent for longer than this is dead. */
const SILENCE_MS = 25_000;

/** Where the browser gives up by itself, we try again after this, at most. */
const MAX_WAIT_MS = 8_000;

/**
 * @typedef {object} FeedHandlers
 * @property {(status: FeedStatus) => void} onStatus
 * @property {() => void} onSnapshot
 * @property {(page: Session[]) => void} onPage
 * @property {() => void} onLive
 * @property {(kind: "opened" | "replaced" | "closed", session: Session, atMs: number) => void} onEvent
 */

export class Feed {
  #handlers;
  /** @type {EventSource | undefined} */
  #source;
  #heardAtMs = 0;
  #attempt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** The server's clock less ours. */
  #offsetMs = 0;

  /** @param {FeedHandlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#connect();
    setInterval(() => {
      if (!this.#retry && performance.now() - this.#heardAtMs > SILENCE_MS) this.#connectLater();
    }, 5_000);
  }

  #connect() {
    this.#retry = undefined;
    this.#heardAtMs = performance.now();
    const source = this.#source = new EventSource("sessions");
    /** @type {(name: string, handle: (data: any) => void) => void} */
    const on = (name, handle) =>
      source.addEventListener(name, (event) => {
        this.#heardAtMs = performance.now();
        handle(JSON.parse(event.data));
      });
    on("snapshot", () => {
      this.#handlers.onStatus("loading");
      this.#handlers.onSnapshot();
    });
    on("sessions", (page) => this.#handlers.onPage(page));
    on("live", ({ at }) => {
      this.#attempt = 0;
      this.#offsetMs = Date.parse(at) - Date.now();
      this.#handlers.onLive();
      this.#handlers.onStatus("live");
    });
    on("paused", () => this.#handlers.onStatus("paused"));
    on("beat", () => {});
    for (const kind of /** @type {const} */ (["opened", "replaced", "closed"])) {
      on(kind, (session) => this.#handlers.onEvent(kind, session, Date.parse(session.at) - this.#offsetMs));
    }
    source.onerror = () => {
      this.#handlers.onStatus("reconnecting");
      // after a refusal, as of a server that is being stopped, the browser does not try again
      if (source.readyState === EventSource.CLOSED) this.#connectLater();
    };
  }

  #connectLater() {
    this.#source?.close();
    this.#handlers.onStatus("reconnecting");
    const waitMs = Math.min(500 * 2 ** this.#attempt++, MAX_WAIT_MS) * (0.5 + Math.random() / 2);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), waitMs);
  }
}
