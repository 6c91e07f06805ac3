/** The part of the page that opens connections of its own. */

import { Client, meaningOf } from "./client.js";
import { announce, byId, element, setText } from "./dom.js";
import { hasText, number, text } from "./texts.js";

const MAX_CLIENTS = 20;

let cards = 0;

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
    list.prepend(newCard(input.value));
  });
}

/** @param {string} clientId */
function newCard(clientId) {
  const titleId = `client-${++cards}`;
  const state = element("span", { class: "state" });
  const session = element("code");
  const code = element("code");
  const meaning = element("p", { class: "meaning" });
  const toggle = element("button", { type: "button", "aria-describedby": titleId });
  const remove = element("button", { type: "button", "aria-describedby": titleId }, text("remove"));
  const link = element(
    "a",
    {
      href: `?client_id=${encodeURIComponent(clientId)}`,
      target: "_blank",
      rel: "noopener",
      "aria-describedby": titleId,
    },
    text("secondTab"),
  );
  const card = element(
    "li",
    { "aria-labelledby": titleId },
    element("p", { class: "head" }, element("bdi", { id: titleId, title: clientId }, clientId), state),
    element(
      "dl",
      {},
      element("dt", {}, text("sessionId")),
      element("dd", {}, session),
      element("dt", {}, text("lastClose")),
      element("dd", {}, code),
    ),
    meaning,
    element("p", { class: "actions" }, toggle, remove, link),
  );

  const client = new Client(clientId, () => {
    card.dataset.state = client.state;
    setText(state, text(`state.${client.state}`));
    setText(session, client.sessionId || "–");
    session.title = client.sessionId;
    setText(toggle, text(isOver() ? "connect" : "disconnect"));
    announce(`${clientId}: ${text(`state.${client.state}`)}`);
    describeClose();
  });
  const isOver = () => client.state === "closed" || client.state === "retrying";

  const describeClose = async () => {
    const close = client.lastClose;
    setText(code, close ? String(close.code) : "–");
    if (!close) return;
    code.title = close.reason;
    const known = await meaningOf(close);
    const key = `close.${known?.name ?? close.code}`;
    const what = hasText(key) ? text(key) : close.reason || known?.reason || "";
    setText(meaning, known ? `${what} ${text(`after.${known.after}`)}` : what);
  };

  toggle.addEventListener("click", () => isOver() ? client.connect() : client.disconnect());
  remove.addEventListener("click", () => {
    client.disconnect();
    const next = card.nextElementSibling ?? card.previousElementSibling;
    card.remove();
    // where the focus was is gone: the next card's button, or the form, takes it
    (next?.querySelector("button") ?? byId("client-id")).focus();
  });
  client.connect();
  return card;
}
