/** The table of sessions: only the rows in sight are in the document. */

/** @import { Row, Sessions, Column } from "./sessions.js" */

import { byId, element, setText } from "./dom.js";
import { shortOf } from "./sessions.js";
import { number, text } from "./texts.js";
import { showTime } from "./time.js";

/** Rows above and below those in sight, for a scroll that is quicker than a frame. */
const MARGIN = 8;

/** For how long a session that was just opened is marked, and how many at once: where all are marked, none is. */
const FRESH_MS = 1500;
const MAX_FRESH = 3;

/** Browsers do not lay out boxes much taller than this, in pixels; what does not fit is found with the filter. */
const MAX_HEIGHT = 16_000_000;

/** @typedef {{ row: HTMLTableRowElement, client: HTMLElement, replaced: HTMLElement, session: HTMLElement, node: HTMLElement, since: HTMLTimeElement }} Line */

export class Table {
  #sessions;
  #onChoose;
  #scroller = byId("scroller");
  #table = byId("table");
  #body = /** @type {HTMLTableSectionElement} */ (this.#table.querySelector("tbody"));
  #headers = /** @type {HTMLElement[]} */ ([...this.#table.querySelectorAll("th")]);
  /** @type {Map<Row, Line>} */
  #lines = new Map();
  /** @type {Line[]} */
  #spare = [];
  #rowHeight = 0;
  /** @type {Row | undefined} the first one in sight */
  #top;

  /**
   * @param {Sessions} sessions
   * @param {() => void} onChange the order or the part in sight is another: draw again
   * @param {((clientId: string) => void) | undefined} onChoose makes a button of each client
   */
  constructor(sessions, onChange, onChoose) {
    this.#sessions = sessions;
    this.#onChoose = onChoose;
    this.#scroller.addEventListener("scroll", onChange, { passive: true });
    new ResizeObserver(() => {
      this.#rowHeight = 0;
      onChange();
    }).observe(this.#scroller);
    for (const header of this.#headers) {
      header.querySelector("button")?.addEventListener("click", () => {
        const column = /** @type {Column} */ (header.dataset.column);
        const { order } = sessions;
        // names from A, times from the newest; a second click turns it round
        const descending = column === order.column ? !order.descending : column === "since";
        sessions.orderBy(column, descending);
        this.scrollToTop();
        onChange();
      });
    }
  }

  scrollToTop() {
    this.#top = undefined;
    this.#scroller.scrollTop = 0;
  }

  draw() {
    const rows = this.#sessions.view();
    this.#rowHeight ||= this.#measure();
    const height = this.#rowHeight;
    const drawable = Math.min(rows.length, Math.floor(MAX_HEIGHT / height));
    this.#body.style.height = `${drawable * height}px`;
    this.#stayInPlace(rows, height);
    const { scrollTop, clientHeight } = this.#scroller;
    const first = Math.max(0, Math.min(drawable, Math.floor(scrollTop / height)) - MARGIN);
    const last = Math.min(drawable, Math.ceil((scrollTop + clientHeight) / height) + MARGIN);
    this.#top = scrollTop > 0 ? rows[Math.floor(scrollTop / height)] : undefined;
    this.#place(rows.slice(first, last), first, height);
    this.#describe(rows.length);
  }

  /**
   * Keeps the rows in sight where they are when others come and go above them.
   *
   * @param {readonly Row[]} rows
   * @param {number} height
   */
  #stayInPlace(rows, height) {
    const line = this.#top && this.#lines.get(this.#top);
    if (!this.#top || !line || this.#top.gone) return;
    const before = Number(line.row.ariaRowIndex) - 2;
    const after = rows[before] === this.#top ? before : rows.indexOf(this.#top);
    if (after >= 0 && after !== before) this.#scroller.scrollTop += (after - before) * height;
  }

  /**
   * @param {Row[]} rows those to be in the document
   * @param {number} first the place of the first of them among all
   * @param {number} height
   */
  #place(rows, first, height) {
    const wanted = new Set(rows);
    for (const [row, line] of this.#lines) {
      if (wanted.has(row)) continue;
      this.#lines.delete(row);
      if (line.row.contains(document.activeElement)) this.#scroller.focus({ preventScroll: true });
      line.row.remove();
      this.#spare.push(line);
    }
    /** @type {ChildNode | null} */
    let next = this.#body.firstChild;
    const added = rows.filter((row) => !this.#lines.has(row) && isFresh(row));
    const mark = added.length <= MAX_FRESH;
    rows.forEach((row, i) => {
      let line = this.#lines.get(row);
      if (!line) {
        line = this.#spare.pop() ?? newLine(this.#onChoose);
        fill(line, row);
        line.row.classList.toggle("fresh", mark && isFresh(row));
        this.#lines.set(row, line);
      }
      line.row.style.transform = `translateY(${(first + i) * height}px)`;
      line.row.ariaRowIndex = String(first + i + 2);
      if (line.row === next) next = next.nextSibling;
      else this.#body.insertBefore(line.row, next);
    });
    this.#spare.length = Math.min(this.#spare.length, 100);
  }

  /** @param {number} shown */
  #describe(shown) {
    const { size, order, filtered } = this.#sessions;
    this.#table.ariaRowCount = String(shown + 1);
    setText(byId("shown"), filtered ? text("shown", { shown: number(shown), all: number(size) }) : "");
    const empty = byId("empty");
    empty.hidden = shown > 0;
    setText(empty, text(filtered ? "noMatches" : "noSessions"));
    for (const header of this.#headers) {
      header.ariaSort = header.dataset.column !== order.column
        ? "none"
        : order.descending
        ? "descending"
        : "ascending";
    }
  }

  /** The height of a row, which depends on the width of the table and the size of letters. */
  #measure() {
    const { row } = newLine(this.#onChoose);
    this.#body.append(row);
    const { height } = row.getBoundingClientRect();
    row.remove();
    return height || 1;
  }
}

/**
 * @param {((clientId: string) => void) | undefined} onChoose
 * @returns {Line}
 */
function newLine(onChoose) {
  const cell = (/** @type {string} */ name, /** @type {(Node | string)[]} */ ...content) =>
    element("td", { role: "cell", class: name }, ...content);
  const client = element("bdi");
  const replaced = element("small");
  const session = element("code");
  const node = element("code");
  const since = element("time");
  const button = onChoose && element("button", { type: "button" }, client);
  button?.addEventListener("click", () => onChoose?.(client.textContent ?? ""));
  const row = element(
    "tr",
    { role: "row" },
    cell("client", button ?? client, replaced),
    cell("session", session),
    cell("node", node),
    cell("since", since),
  );
  return { row, client, replaced, session, node, since };
}

/**
 * @param {Line} line
 * @param {Row} row
 */
function fill({ client, replaced, session, node, since }, row) {
  client.textContent = row.client;
  client.title = row.client;
  const before = row.replaced && { session: shortOf(row.replaced.session), node: row.replaced.node };
  replaced.textContent = before ? ` ${text("replaced", before)}` : "";
  replaced.title = row.replaced?.session ?? "";
  session.textContent = row.session;
  node.textContent = row.node;
  showTime(since, row.since);
}

/** @param {Row} row */
function isFresh({ openedAtMs }) {
  return openedAtMs > 0 && performance.now() - openedAtMs < FRESH_MS;
}
