/** Sessions and takeovers of the last minutes. */

import { element, setText } from "./dom.js";
import { number, text } from "./texts.js";

const BUCKET_MS = 2_000;
const BUCKETS = 150;
const MINUTES = BUCKETS * BUCKET_MS / 60_000;

/** The drawing's own units: a bucket is 4 wide; sessions have the upper part, takeovers the lower one. */
const WIDTH = BUCKETS * 4;
const HEIGHT = 100;
const SESSIONS_HEIGHT = 68;
const TAKEOVERS_HEIGHT = 24;

export class Chart {
  #root;
  #area = shape("area");
  #line = shape("line");
  #bars = shape("bars");
  #most = element("span", { class: "most" });
  /** @type {(number | undefined)[]} the last one is of now; `undefined` where nobody looked */
  #sessions = new Array(BUCKETS).fill(undefined);
  /** @type {number[]} */
  #takeovers = new Array(BUCKETS).fill(0);
  #bucket = bucketOf(Date.now());

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(this.#area, this.#line, this.#bars);
    root.append(
      svg,
      this.#most,
      element("span", { class: "past" }, text("minutesAgo", { minutes: number(MINUTES) })),
      element("span", { class: "now" }, text("now")),
    );
  }

  /** How many takeovers there were in the time that is shown. */
  get takeovers() {
    return this.#takeovers.reduce((sum, count) => sum + count, 0);
  }

  /** @param {number} atMs */
  addTakeover(atMs) {
    this.#advance();
    const place = BUCKETS - 1 - (this.#bucket - bucketOf(Math.min(atMs, Date.now())));
    if (place >= 0) this.#takeovers[place] = (this.#takeovers[place] ?? 0) + 1;
  }

  /** @param {number | undefined} sessions how many there are, `undefined` where that is not known */
  draw(sessions) {
    this.#advance();
    if (sessions !== undefined) this.#sessions[BUCKETS - 1] = sessions;
    const known = this.#sessions.filter((count) => count !== undefined);
    const most = Math.max(...known, 0);
    const scale = niceAbove(most);
    setText(this.#most, known.length > 0 ? number(scale) : "");
    this.#drawSessions(scale);
    this.#drawTakeovers();
    this.#root.ariaLabel = text("chart", {
      now: number(sessions ?? known.at(-1) ?? 0),
      least: number(Math.min(...known, most)),
      most: number(most),
      takeovers: number(this.takeovers),
    });
  }

  #advance() {
    const bucket = bucketOf(Date.now());
    const passed = Math.min(Math.max(0, bucket - this.#bucket), BUCKETS);
    if (passed === 0) return;
    this.#bucket = bucket;
    this.#sessions.splice(0, passed);
    this.#takeovers.splice(0, passed);
    for (let i = 0; i < passed; i++) {
      this.#sessions.push(undefined);
      this.#takeovers.push(0);
    }
  }

  /** @param {number} scale */
  #drawSessions(scale) {
    let line = "";
    let area = "";
    let from = -1;
    this.#sessions.forEach((count, i) => {
      if (count === undefined) {
        from = -1;
        return;
      }
      const x = (i + 1) * WIDTH / BUCKETS;
      const y = SESSIONS_HEIGHT - count / scale * (SESSIONS_HEIGHT - 4);
      if (from < 0) {
        from = x - WIDTH / BUCKETS;
        line += `M${from} ${y}`;
        area += `M${from} ${SESSIONS_HEIGHT}V${y}`;
      }
      line += `L${x} ${y}`;
      area += `L${x} ${y}`;
      if (this.#sessions[i + 1] === undefined) area += `V${SESSIONS_HEIGHT}Z`;
    });
    this.#line.setAttribute("d", line);
    this.#area.setAttribute("d", area);
  }

  #drawTakeovers() {
    const most = Math.max(...this.#takeovers, 4);
    const bars = this.#takeovers.map((count, i) => {
      if (count === 0) return "";
      const height = Math.max(2, count / most * TAKEOVERS_HEIGHT);
      return `M${i * 4 + 0.5} ${HEIGHT}v${-height}h3v${height}z`;
    });
    this.#bars.setAttribute("d", bars.join(""));
  }
}

/** @param {number} ms */
function bucketOf(ms) {
  return Math.floor(ms / BUCKET_MS);
}

/**
 * A round number that is not less than the count: 1, 2 or 5 with zeros.
 *
 * @param {number} count
 */
function niceAbove(count) {
  const power = 10 ** Math.floor(Math.log10(Math.max(count, 1)));
  return [1, 2, 5, 10].map((digit) => digit * power).find((nice) => nice >= Math.max(count, 5)) ?? count;
}

/** @param {string} name */
function shape(name) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("class", name);
  return path;
}
