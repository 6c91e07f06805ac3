/**
 * The element with an id, which the page is known to have.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`Cannot find #${id} on the page`);
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * Sets a text where it differs, so that nothing is drawn again or read out again for nothing.
 *
 * @param {Node} node
 * @param {string} value
 */
export function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/**
 * Says something to those who hear the page, once what happens has come to rest.
 *
 * @param {string} what
 */
export function announce(what) {
  clearTimeout(announcing);
  announcing = setTimeout(() => byId("announcer").textContent = what, 400);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let announcing;
