/** When something was, as the reader writes it. */

import { language } from "./texts.js";

const time = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const dayAndTime = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "short" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "long" });

/**
 * @param {HTMLTimeElement} element
 * @param {number} atMs Unix time
 */
export function showTime(element, atMs) {
  const date = new Date(atMs);
  element.dateTime = date.toISOString();
  element.title = full.format(date);
  element.textContent = (date.toDateString() === new Date().toDateString() ? time : dayAndTime).format(date);
}
