/** The part of the page by which an operator looks up a client, ends its session and writes to it. */

/** @import { Session } from "./sessions.js" */

import { announce, byId, element, setText } from "./dom.js";
import { canAsk, end, lookUp, OperationError, write } from "./operations.js";
import { shortOf } from "./sessions.js";
import { text } from "./texts.js";
import { showTime } from "./time.js";

/** Where the operations exist the server says so in the document, which only operators get then. */
export const operable = "operable" in document.documentElement.dataset;

/** For how long a client may be refused after its session was ended, in seconds. */
const BLOCKS_S = [0, 60, 600, 3600];

export class Operate {
  #found = byId("found");
  #client = byId("found-client");
  #session = byId("found-session");
  #node = byId("found-node");
  #since = /** @type {HTMLTimeElement} */ (byId("found-since"));
  #outcome = byId("outcome");
  #actions = byId("operations");
  #message = /** @type {HTMLTextAreaElement} */ (byId("message"));
  #asked = /** @type {HTMLInputElement} */ (byId("looked-up"));
  #dialog = /** @type {HTMLDialogElement} */ (byId("ending"));
  #block = /** @type {HTMLSelectElement} */ (byId("block"));
  /** @type {Session | undefined} what is shown; it may have ended */
  #shown;
  /** One operation at a time. */
  #busy = false;

  constructor() {
    byId("operate").hidden = false;
    this.#asked.addEventListener("input", () => {
      this.#asked.setCustomValidity(canAsk(this.#asked.value) ? "" : text("failed.path"));
    });
    this.#onSubmit("look-up", () => this.#lookUp(this.#asked.value));
    this.#onSubmit("write", () => this.#write());
    this.#onSubmit("end", () => this.#end());
    for (const seconds of BLOCKS_S) {
      this.#block.append(element("option", { value: String(seconds) }, text(`block.${seconds}`)));
    }
    byId("end-question").addEventListener("click", () => this.#ask());
    byId("cancel").addEventListener("click", () => this.#dialog.close());
  }

  /**
   * Shows the session that a client has now, and goes there.
   *
   * @param {string} clientId
   */
  async choose(clientId) {
    this.#asked.value = clientId;
    await this.#lookUp(clientId);
    this.#found.focus();
  }

  /**
   * @param {string} sessionId whose place was taken
   * @param {Session} successor
   */
  onSuccessor(sessionId, { session_id, node }) {
    if (sessionId !== this.#shown?.session_id) return;
    this.#isOver(text("takenOver", { session: shortOf(session_id), node }));
  }

  /** @param {string} sessionId */
  onClosed(sessionId) {
    // one that was ended from here is over already, in better words
    if (sessionId === this.#shown?.session_id && !this.#actions.hidden) this.#isOver(text("isOver"));
  }

  /** @param {string} clientId */
  async #lookUp(clientId) {
    await this.#do(async () => {
      this.#shown = undefined;
      this.#found.hidden = true;
      const session = this.#shown = await lookUp(clientId);
      setText(this.#client, session.client_id);
      setText(this.#session, session.session_id);
      setText(this.#node, session.node);
      showTime(this.#since, Date.parse(session.connected_at));
      this.#found.hidden = this.#actions.hidden = false;
      announce(text("found", { session: shortOf(session.session_id), node: session.node }));
    });
  }

  async #write() {
    const session = this.#shown;
    if (!session) return;
    await this.#do(async () => {
      await write(session, this.#message.value);
      this.#message.value = "";
      return text("written", { session: shortOf(session.session_id) });
    });
  }

  /** Asks whether it is meant. */
  #ask() {
    setText(byId("ending-title"), text("endQuestion", { client: this.#shown?.client_id ?? "" }));
    this.#block.value = "0";
    this.#dialog.showModal();
  }

  async #end() {
    this.#dialog.close();
    const session = this.#shown;
    if (!session) return;
    await this.#do(async () => {
      const blockS = Number(this.#block.value);
      await end(session, blockS);
      this.#isOver(blockS > 0 ? text("endedAndBlocked", { block: text(`block.${blockS}`) }) : text("ended"));
    });
  }

  /** @param {string} why */
  #isOver(why) {
    if (this.#dialog.open) this.#dialog.close();
    const hadFocus = this.#actions.contains(document.activeElement);
    this.#actions.hidden = true;
    this.#tell(why);
    if (hadFocus) this.#found.focus(); // where the focus was is gone
  }

  /**
   * @param {string} what
   * @param {boolean} [failed]
   */
  #tell(what, failed = false) {
    this.#outcome.classList.toggle("failed", failed);
    setText(this.#outcome, what);
    if (what) announce(what);
  }

  /** @param {() => Promise<string | void>} operation what it returns is told */
  async #do(operation) {
    if (this.#busy) return;
    this.#busy = true;
    this.#tell("");
    try {
      const done = await operation();
      if (done) this.#tell(done);
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      this.#tell(error.message, true);
    } finally {
      this.#busy = false;
    }
  }

  /**
   * @param {string} form
   * @param {() => void} handle
   */
  #onSubmit(form, handle) {
    byId(form).addEventListener("submit", (event) => {
      event.preventDefault();
      handle();
    });
  }
}
