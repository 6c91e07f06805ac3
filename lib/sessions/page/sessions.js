/** The sessions of the service, filtered and sorted, kept so as events come. */

/**
 * @typedef {object} Session
 * @property {string} client_id
 * @property {string} session_id
 * @property {string} node
 * @property {number} epoch
 * @property {string} connected_at RFC 3339
 */

/**
 * @typedef {object} Row
 * @property {string} client
 * @property {string} session
 * @property {string} node
 * @property {number} since Unix time, ms
 * @property {number} epoch grows from one to the next
 * @property {{ session: string, node: string } | undefined} replaced whose place it took, where that was seen
 * @property {string} searched what the filter looks into
 * @property {number} openedAtMs when it was seen to be opened, by `performance.now()`; 0 where it was there before
 * @property {boolean} gone
 */

/** @typedef {"client" | "session" | "node" | "since"} Column */

/** How many may be on the way between `replaced` and `opened`; the two come together, so this is plenty. */
const MAX_LEAVING = 10_000;

/** "client 2" stands before "client 10". */
const collator = new Intl.Collator(undefined, { numeric: true });

/** @type {Record<Column, (a: Row, b: Row) => number>} */
const COMPARE = {
  client: (a, b) => collator.compare(a.client, b.client),
  session: (a, b) => a.session < b.session ? -1 : a.session > b.session ? 1 : 0,
  node: (a, b) => a.node < b.node ? -1 : a.node > b.node ? 1 : 0,
  since: (a, b) => a.since - b.since || a.epoch - b.epoch,
};

export class Sessions {
  /** @type {Map<string, Row>} by session_id */
  #rows = new Map();
  /** @type {Map<string, number>} */
  #nodes = new Map();
  /** @type {Row[]} */
  #view = [];
  /** @type {Row[]} rows that are not in the view yet */
  #added = [];
  /** Whether rows of the view have gone. */
  #removed = false;
  /** Whether the view has to be made anew. */
  #stale = true;
  /** @type {Map<string, Row> | undefined} the snapshot that is arriving */
  #arriving;
  #filter = "";
  #node = "";
  /** @type {Map<string, Row>} whose place is being taken, by client: those who replace them are opened next */
  #leaving = new Map();
  /** @type {{ column: Column, descending: boolean }} */
  #order = { column: "since", descending: true };

  /** How many there are. */
  get size() {
    return this.#rows.size;
  }

  /** How many each node has. */
  get nodes() {
    return this.#nodes;
  }

  get order() {
    return this.#order;
  }

  get node() {
    return this.#node;
  }

  get filtered() {
    return this.#filter !== "" || this.#node !== "";
  }

  /** A snapshot begins; what is shown stays until it is complete. */
  beginSnapshot() {
    this.#arriving = new Map();
    this.#leaving.clear();
  }

  /** @param {Session[]} page */
  addPage(page) {
    for (const session of page) this.#arriving?.set(session.session_id, toRow(session, 0));
  }

  /** The snapshot, where there is one, is complete. */
  endSnapshot() {
    if (!this.#arriving) return;
    for (const [id, row] of this.#arriving) this.#arriving.set(id, this.#rows.get(id) ?? row);
    this.#rows = this.#arriving;
    this.#arriving = undefined;
    this.#nodes.clear();
    for (const { node } of this.#rows.values()) this.#count(node, 1);
    this.#stale = true;
  }

  /**
   * @param {Session} session
   * @returns {string | undefined} the session_id of the one whose place it has taken
   */
  open(session) {
    if (this.#rows.has(session.session_id)) return undefined;
    const before = this.#leaving.get(session.client_id);
    this.#leaving.delete(session.client_id);
    const row = toRow(session, performance.now(), before);
    this.#rows.set(session.session_id, row);
    this.#count(row.node, 1);
    this.#added.push(row);
    return before?.session;
  }

  /**
   * @param {Session} session
   * @param {boolean} [replaced] whether a newer connection of its client takes its place
   * @returns {boolean} whether it was there
   */
  close({ session_id }, replaced = false) {
    const row = this.#rows.get(session_id);
    if (!row) return false;
    this.#rows.delete(session_id);
    this.#count(row.node, -1);
    row.gone = true;
    this.#removed = true;
    if (replaced) this.#remember(row);
    return true;
  }

  /** @param {Row} row */
  #remember(row) {
    this.#leaving.delete(row.client);
    this.#leaving.set(row.client, row);
    // a newer connection may leave before it is opened: the oldest of these are forgotten
    for (const client of this.#leaving.keys()) {
      if (this.#leaving.size <= MAX_LEAVING) break;
      this.#leaving.delete(client);
    }
  }

  /** @param {string} filter a part of a client_id, session_id or node */
  filterBy(filter) {
    this.#filter = filter.trim().toLowerCase();
    this.#stale = true;
  }

  /** @param {string} node "" for all */
  filterByNode(node) {
    this.#node = node;
    this.#stale = true;
  }

  /**
   * @param {Column} column
   * @param {boolean} descending
   */
  orderBy(column, descending) {
    this.#order = { column, descending };
    this.#stale = true;
  }

  /**
   * What is to be shown now, in order.
   *
   * @returns {readonly Row[]}
   */
  view() {
    if (this.#stale) {
      this.#view = [...this.#rows.values()].filter((row) => this.#matches(row)).sort(this.#compare);
    } else {
      if (this.#removed) this.#view = this.#view.filter((row) => !row.gone);
      const added = this.#added.filter((row) => !row.gone && this.#matches(row)).sort(this.#compare);
      if (added.length > 0) this.#view = merge(this.#view, added, this.#compare);
    }
    this.#stale = this.#removed = false;
    this.#added = [];
    return this.#view;
  }

  /** @type {(a: Row, b: Row) => number} */
  #compare = (a, b) => {
    const { column, descending } = this.#order;
    return (descending ? -1 : 1) * (COMPARE[column](a, b) || COMPARE.session(a, b));
  };

  /** @param {Row} row */
  #matches(row) {
    if (this.#node && row.node !== this.#node) return false;
    return this.#filter === "" || row.searched.includes(this.#filter);
  }

  /**
   * @param {string} node
   * @param {number} change
   */
  #count(node, change) {
    const count = (this.#nodes.get(node) ?? 0) + change;
    if (count > 0) this.#nodes.set(node, count);
    else this.#nodes.delete(node);
  }
}

/**
 * @param {Session} session
 * @param {number} openedAtMs
 * @param {Row} [before] whose place it took
 * @returns {Row}
 */
function toRow({ client_id, session_id, node, epoch, connected_at }, openedAtMs, before) {
  return {
    client: client_id,
    session: session_id,
    node,
    since: Date.parse(connected_at),
    epoch,
    replaced: before && { session: before.session, node: before.node },
    searched: `${client_id}\n${session_id}\n${node}\n${before?.session ?? ""}`.toLowerCase(),
    openedAtMs,
    gone: false,
  };
}

/**
 * As much of a session_id as tells it from others at a glance.
 *
 * @param {string} sessionId
 */
export function shortOf(sessionId) {
  return sessionId.slice(0, 8);
}

/**
 * Two sorted arrays as one.
 *
 * @template T
 * @param {T[]} a
 * @param {T[]} b
 * @param {(a: T, b: T) => number} compare
 */
function merge(a, b, compare) {
  const merged = [];
  let i = 0;
  for (const item of b) {
    for (let other; (other = a[i]) !== undefined && compare(other, item) <= 0; i++) merged.push(other);
    merged.push(item);
  }
  for (; i < a.length; i++) merged.push(/** @type {T} */ (a[i]));
  return merged;
}
