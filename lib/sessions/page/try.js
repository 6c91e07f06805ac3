/** The part of the page that opens connections of its own. */

/** @import { Session } from "./sessions.js" */

import { connect } from "./client.js";
import { announce, byId, element, setText } from "./dom.js";
import { shortOf } from "./sessions.js";
import { hasText, number, text } from "./texts.js";

const MAX_CLIENTS = 20;

/** The close code of a session that a newer connection has replaced. */
const REPLACED = 4409;

let cards = 0;

/** @type {Set<Card>} */
const all = new Set();

export function startTrying() {
  const form = /** @type {HTMLFormElement} */ (byId("connect"));
  const input = /** @type {HTMLInputElement} */ (byId("client-id"));
  const list = byId("clients");
  const asked = new URLSearchParams(location.search).get("client_id");
  input.value = asked ?? `guest-${Math.floor(Math.random() * 65_536).toString(16).padStart(4, "0")}`;
  if (asked) input.focus();
  input.addEventListener("input", () => {
    input.setCustomValidity(new TextEncoder().encode(input.value).length > 256 ? text("tooLong") : "");
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (list.childElementCount >= MAX_CLIENTS) {
      return announce(text("tooMany", { most: number(MAX_CLIENTS) }));
    }
    list.prepend(new Card(input.value).element);
  });
}

/**
 * Tells the client whose session it was who has taken over from it.
 *
 * @param {string} sessionId
 * @param {Session} successor
 */
export function tellSuccessor(sessionId, successor) {
  for (const card of all) card.onSuccessor(sessionId, successor);
}

/** One client, and what has become of it. */
class Card {
  element;
  #clientId;
  /** @type {ReturnType<typeof connect> | undefined} while it wants to be connected */
  #connection;
  /** The last one, also when it has ended. */
  #sessionId = "";
  /** Who has replaced it, in words: this may be known before it is closed. */
  #successor = "";
  #titleId = `client-${++cards}`;
  #state = element("span", { class: "state" });
  #session = element("code");
  #code = element("code");
  #meaning = element("p", { class: "meaning" });
  #toggle = this.#button("connect");

  /** @param {string} clientId */
  constructor(clientId) {
    this.#clientId = clientId;
    const remove = this.#button("remove");
    const link = element(
      "a",
      {
        href: `?client_id=${encodeURIComponent(clientId)}`,
        target: "_blank",
        rel: "noopener",
        "aria-describedby": this.#titleId,
      },
      text("secondTab"),
    );
    this.element = element(
      "li",
      { "aria-labelledby": this.#titleId },
      element(
        "p",
        { class: "head" },
        element("bdi", { id: this.#titleId, title: clientId }, clientId),
        this.#state,
      ),
      element(
        "dl",
        {},
        element("dt", {}, text("sessionId")),
        element("dd", {}, this.#session),
        element("dt", {}, text("lastClose")),
        element("dd", {}, this.#code),
      ),
      this.#meaning,
      element("p", { class: "actions" }, this.#toggle, remove, link),
    );
    setText(this.#code, "–");
    this.#toggle.addEventListener("click", () => this.#connection ? this.#disconnect() : this.#connect());
    remove.addEventListener("click", () => this.#remove());
    all.add(this);
    this.#connect();
  }

  /**
   * @param {string} sessionId
   * @param {Session} successor
   */
  onSuccessor(sessionId, { session_id, node }) {
    if (sessionId !== this.#sessionId) return;
    this.#successor = text("replacedBy", { session: shortOf(session_id), node });
    if (!this.#connection) setText(this.#meaning, this.#successor);
  }

  #connect() {
    this.#become("connecting");
    this.#connection = connect("./", {
      clientId: this.#clientId,
      onSession: (sessionId) => {
        this.#sessionId = sessionId;
        this.#successor = "";
        this.#become("established", sessionId);
      },
      onEnd: ({ code, reason, waitMs }) => {
        if (waitMs === undefined) this.#connection = undefined;
        this.#become(waitMs === undefined ? "closed" : "retrying");
        this.#describe(code, reason, text(waitMs === undefined ? "after.stay-away" : "after.reconnect"));
        if (code === REPLACED && this.#successor) setText(this.#meaning, this.#successor);
      },
    });
  }

  #disconnect() {
    this.#connection?.close();
    this.#connection = undefined;
    this.#become("closed");
    this.#describe(1000, "", "");
  }

  #remove() {
    this.#connection?.close();
    all.delete(this);
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.element.remove();
    // where the focus was is gone: the next card's button, or the form, takes it
    (next?.querySelector("button") ?? byId("client-id")).focus();
  }

  /**
   * @param {"connecting" | "established" | "retrying" | "closed"} state
   * @param {string} [sessionId]
   */
  #become(state, sessionId = "") {
    this.element.dataset.state = state;
    setText(this.#state, text(`state.${state}`));
    setText(this.#session, sessionId || "–");
    this.#session.title = sessionId;
    setText(this.#toggle, text(this.#connection || state === "connecting" ? "disconnect" : "connect"));
    announce(`${this.#clientId}: ${text(`state.${state}`)}`);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {string} after what comes next
   */
  #describe(code, reason, after) {
    setText(this.#code, String(code));
    this.#code.title = reason;
    const key = `close.${code}`;
    setText(this.#meaning, `${hasText(key) ? text(key) : reason} ${after}`.trim());
  }

  /** @param {string} name */
  #button(name) {
    return element("button", { type: "button", "aria-describedby": this.#titleId }, text(name));
  }
}
