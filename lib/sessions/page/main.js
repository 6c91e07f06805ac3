/** Puts the parts of the page together. */

import { Chart } from "./chart.js";
import { announce, byId, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { Nodes } from "./nodes.js";
import { operable, Operate } from "./operate.js";
import { Sessions } from "./sessions.js";
import { Table } from "./table.js";
import { number, text, translatePage } from "./texts.js";
import { startTrying, tellSuccessor } from "./try.js";

translatePage();

const sessions = new Sessions();
const chart = new Chart(byId("chart"));
const operate = operable ? new Operate() : undefined;
const table = new Table(sessions, drawSoon, operate && ((clientId) => void operate.choose(clientId)));
const nodes = new Nodes(sessions, (node) => {
  sessions.filterByNode(node);
  onFilter();
});
/** @type {import("./feed.js").FeedStatus} */
let status = "connecting";
/** Whether there has been a whole snapshot. */
let known = false;
let drawing = 0;

/** However many events come, everything is drawn at most once a frame. */
function drawSoon() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    draw();
  });
}

function draw() {
  if (!known) return;
  table.draw();
  nodes.draw();
  setText(byId("count"), number(sessions.size));
  setText(byId("takeovers"), number(chart.takeovers));
}

function drawChart() {
  chart.draw(known && status === "live" ? sessions.size : undefined);
  if (known) setText(byId("takeovers"), number(chart.takeovers));
}

function onFilter() {
  table.scrollToTop();
  drawSoon();
  announce(text("shown", { shown: number(sessions.view().length), all: number(sessions.size) }));
}

const filter = /** @type {HTMLInputElement} */ (byId("filter"));
filter.addEventListener("input", () => {
  sessions.filterBy(filter.value);
  onFilter();
});

new Feed({
  onStatus(next) {
    status = next;
    const element = byId("status");
    element.dataset.status = status;
    setText(element, text(`status.${status}`));
    drawChart();
  },
  onSnapshot: () => sessions.beginSnapshot(),
  onPage: (page) => sessions.addPage(page),
  onLive() {
    sessions.endSnapshot();
    known = true;
    drawSoon();
  },
  onEvent(kind, session, atMs) {
    if (kind === "opened") {
      const replaced = sessions.open(session);
      if (replaced) {
        tellSuccessor(replaced, session);
        operate?.onSuccessor(replaced, session);
      }
    } else {
      if (sessions.close(session, kind === "replaced") && kind === "replaced") chart.addTakeover(atMs);
      operate?.onClosed(session.session_id);
    }
    drawSoon();
  },
});
setText(byId("status"), text("status.connecting"));
setInterval(drawChart, 1000);
startTrying();
document.documentElement.classList.add("ready");
