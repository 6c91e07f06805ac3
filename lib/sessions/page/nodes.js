/** How many sessions each node has; a node is also a filter. */

/** @import { Sessions } from "./sessions.js" */

import { byId, element, setText } from "./dom.js";
import { number, text } from "./texts.js";

/** @typedef {{ item: HTMLElement, button: HTMLButtonElement, count: HTMLElement, bar: HTMLElement }} Line */

export class Nodes {
  #sessions;
  #onToggle;
  #list = byId("nodes");
  /** @type {Map<string, Line>} */
  #lines = new Map();

  /**
   * @param {Sessions} sessions
   * @param {(node: string) => void} onToggle the node to show alone, or ""
   */
  constructor(sessions, onToggle) {
    this.#sessions = sessions;
    this.#onToggle = onToggle;
  }

  draw() {
    const { nodes, node: chosen } = this.#sessions;
    setText(byId("node-count"), nodes.size > 0 ? number(nodes.size) : "");
    const names = [...nodes.keys(), ...(chosen && !nodes.has(chosen) ? [chosen] : [])].sort();
    for (const [name, { item }] of this.#lines) {
      if (names.includes(name)) continue;
      item.remove();
      this.#lines.delete(name);
    }
    const most = Math.max(...nodes.values(), 1);
    names.forEach((name, i) => {
      const line = this.#lines.get(name) ?? this.#add(name);
      if (this.#list.children[i] !== line.item) {
        this.#list.insertBefore(line.item, this.#list.children[i] ?? null);
      }
      setText(line.count, number(nodes.get(name) ?? 0));
      line.bar.style.transform = `scaleX(${(nodes.get(name) ?? 0) / most})`;
      line.button.ariaPressed = String(name === chosen);
    });
  }

  /**
   * @param {string} name
   * @returns {Line}
   */
  #add(name) {
    const count = element("span", { class: "count" });
    const bar = element("span", { class: "bar" });
    const button = element(
      "button",
      { type: "button", title: text("onlyNode") },
      element("code", {}, name),
      " ",
      count,
      bar,
    );
    button.addEventListener("click", () => this.#onToggle(this.#sessions.node === name ? "" : name));
    const line = { item: element("li", {}, button), button, count, bar };
    this.#lines.set(name, line);
    return line;
  }
}
