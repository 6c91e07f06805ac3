/** Every text of the page, in English and Russian. */

/** @typedef {Record<string, string | ((values: Record<string, string>) => string)>} Texts */

/** @type {Texts} */
const en = {
  title: "Solo: live sessions",
  tagline: "One live connection per client",
  activity: "Activity",
  sessions: "Sessions",
  takeovers: "Takeovers in 5 minutes",
  nodes: "Nodes",
  filter: "Filter by client, session or node",
  filterHint: "Client, session or node",
  client: "Client",
  session: "Session",
  node: "Node",
  since: "Since",
  shown: ({ shown, all }) => `${shown} of ${all}`,
  noSessions: "Nobody is connected yet.",
  noMatches: "No session matches the filter.",
  onlyNode: "Show only the sessions of this node",
  chart: ({ now, least, most, takeovers }) =>
    `The last 5 minutes: ${now} sessions now, ${least} at the least, ${most} at the most; ${takeovers} takeovers.`,
  minutesAgo: ({ minutes }) => `${minutes} min ago`,
  now: "now",
  "status.connecting": "Connecting",
  "status.loading": "Loading",
  "status.live": "Live",
  "status.paused": "The server cannot reach its registry",
  "status.reconnecting": "Reconnecting",
  try: "Try it",
  tryHint:
    "Connect twice with the same id, here or in another tab: the newer connection replaces the older one.",
  clientId: "Client id",
  connect: "Connect",
  disconnect: "Disconnect",
  remove: "Remove",
  secondTab: "In a new tab",
  sessionId: "Session",
  lastClose: "Last close",
  "state.connecting": "connecting",
  "state.established": "established",
  "state.closed": "closed",
  "state.retrying": "will reconnect",
  tooLong: "At most 256 bytes",
  tooMany: ({ most }) => `At most ${most} clients on this page: remove one first`,
  operate: "Operate",
  lookUpClient: "Look up a client",
  lookUp: "Look up",
  found: ({ session, node }) => `Connected: session ${session} on node ${node}`,
  message: "Message to this session",
  send: "Send",
  written: ({ session }) => `Sent to session ${session}.`,
  endSession: "End the session…",
  endQuestion: ({ client }) => `End the session of ${client}?`,
  endHint: "It is closed with 4403, and a client that keeps to the protocol stays away.",
  block: "Refuse the client afterwards",
  "block.0": "not at all",
  "block.60": "for a minute",
  "block.600": "for 10 minutes",
  "block.3600": "for an hour",
  endNow: "End it",
  cancel: "Cancel",
  ended: "Ended. Nothing more is sent on this session.",
  endedAndBlocked: ({ block }) => `Ended. The client is refused ${block}.`,
  isOver: "This session has ended.",
  takenOver: ({ session, node }) => `Session ${session} on node ${node} has taken over from this one.`,
  "lookUp.404": "Nobody is connected with this id.",
  "lookUp.503": "The server cannot reach its registry. Try again.",
  "lookUp.unanswered": "The server does not answer. Try again.",
  "end.404": "The client is not connected any more: there was nothing to end.",
  "end.412": "The client has another session by now, and that was left alone. Look it up again.",
  "end.503": "There was no answer in time: perhaps the session has ended. Look it up again.",
  "end.unanswered": "The server does not answer: perhaps the session has ended. Look it up again.",
  "write.404": "The client is not connected any more: nothing was sent.",
  "write.412": "The client has another session by now: nothing was sent. Look it up again.",
  "write.413": "The message is longer than 64 KiB: nothing was sent.",
  "write.503":
    "There was no answer in time: perhaps the message was sent, perhaps not. It is not sent again.",
  "write.unanswered": "The server does not answer: perhaps the message was sent, perhaps not.",
  "failed.401": "The server does not take your token any more. Load the page again and sign in.",
  "failed.path": "A browser cannot ask for a client with this id. Use curl --path-as-is.",
  failed: ({ status, line }) => `The server answered ${status}: ${line}`,
  "close.1000": "Closed by this page.",
  "close.1001": "The server is being stopped, or the client did not answer a PING.",
  "close.1002": "The client broke the WebSocket protocol.",
  "close.1005": "Closed without a code.",
  "close.1006": "The connection broke, or the server refused it.",
  "close.1007": "The client sent a text that is not UTF-8.",
  "close.1008": "The client sent too many messages.",
  "close.1009": "The client sent a message that is too big.",
  "close.1013": "The server lost its registry and may not hold sessions for now.",
  "close.4401": "The token has expired.",
  "close.4403": "An operator has ended the session.",
  "close.4408": "The client is connected already, and was not to be replaced.",
  "close.4409": "A newer connection with the same client id has taken over.",
  "close.4429": "Too many connections with this client id replace each other.",
  replaced: ({ session, node }) => `replaced ${session} on ${node}`,
  replacedBy: ({ session, node }) =>
    `Session ${session} on node ${node} has taken over. The client stays away.`,
  "after.reconnect": "The client connects again by itself.",
  "after.stay-away": "The client stays away.",
};

/** @type {Texts} */
const ru = {
  title: "Solo: сессии сейчас",
  tagline: "Одно живое соединение на клиента",
  activity: "Активность",
  sessions: "Сессии",
  takeovers: "Перехваты за 5 минут",
  nodes: "Узлы",
  filter: "Фильтр по клиенту, сессии или узлу",
  filterHint: "Клиент, сессия или узел",
  client: "Клиент",
  session: "Сессия",
  node: "Узел",
  since: "Начало",
  shown: ({ shown, all }) => `${shown} из ${all}`,
  noSessions: "Пока никто не подключён.",
  noMatches: "Под фильтр не подходит ни одна сессия.",
  onlyNode: "Показать только сессии этого узла",
  chart: ({ now, least, most, takeovers }) =>
    `За последние 5 минут: сейчас сессий ${now}, меньше всего было ${least}, больше всего ${most}; перехватов: ${takeovers}.`,
  minutesAgo: ({ minutes }) => `${minutes} мин назад`,
  now: "сейчас",
  "status.connecting": "Подключение",
  "status.loading": "Загрузка",
  "status.live": "На связи",
  "status.paused": "Сервер не видит реестр сессий",
  "status.reconnecting": "Переподключение",
  try: "Попробовать",
  tryHint: "Подключитесь дважды с одним id, здесь или в другой вкладке: новое соединение вытеснит прежнее.",
  clientId: "Id клиента",
  connect: "Подключить",
  disconnect: "Отключить",
  remove: "Убрать",
  secondTab: "В новой вкладке",
  sessionId: "Сессия",
  lastClose: "Закрытие",
  "state.connecting": "подключается",
  "state.established": "установлена",
  "state.closed": "закрыта",
  "state.retrying": "переподключится",
  tooLong: "Не больше 256 байт",
  tooMany: ({ most }) => `На странице не больше ${most} клиентов: сначала уберите одного`,
  operate: "Управление",
  lookUpClient: "Найти клиента",
  lookUp: "Найти",
  found: ({ session, node }) => `Подключён: сессия ${session} на узле ${node}`,
  message: "Сообщение в эту сессию",
  send: "Отправить",
  written: ({ session }) => `Отправлено в сессию ${session}.`,
  endSession: "Завершить сессию…",
  endQuestion: ({ client }) => `Завершить сессию клиента ${client}?`,
  endHint: "Она закроется с кодом 4403, и клиент, который соблюдает протокол, сам не вернётся.",
  block: "Не пускать клиента после этого",
  "block.0": "нет, пускать",
  "block.60": "минуту",
  "block.600": "10 минут",
  "block.3600": "час",
  endNow: "Завершить",
  cancel: "Отмена",
  ended: "Завершена. Больше в эту сессию ничего не уйдёт.",
  endedAndBlocked: ({ block }) => `Завершена. Клиента не пустят ещё ${block}.`,
  isOver: "Эта сессия закончилась.",
  takenOver: ({ session, node }) => `Место этой сессии заняла ${session} на узле ${node}.`,
  "lookUp.404": "С этим id никто не подключён.",
  "lookUp.503": "Сервер не видит реестр сессий. Попробуйте ещё раз.",
  "lookUp.unanswered": "Сервер не отвечает. Попробуйте ещё раз.",
  "end.404": "Клиент уже не подключён: завершать нечего.",
  "end.412": "У клиента уже другая сессия, её не тронули. Найдите её заново.",
  "end.503": "Ответа вовремя не было: сессия, возможно, завершена. Найдите клиента заново.",
  "end.unanswered": "Сервер не отвечает: сессия, возможно, завершена. Найдите клиента заново.",
  "write.404": "Клиент уже не подключён: ничего не отправлено.",
  "write.412": "У клиента уже другая сессия: ничего не отправлено. Найдите её заново.",
  "write.413": "Сообщение длиннее 64 КиБ: ничего не отправлено.",
  "write.503": "Ответа вовремя не было: сообщение, возможно, отправлено, а возможно, нет. Повтора не будет.",
  "write.unanswered": "Сервер не отвечает: сообщение, возможно, отправлено, а возможно, нет.",
  "failed.401": "Сервер больше не принимает ваш токен. Обновите страницу и войдите снова.",
  "failed.path": "Браузер не может запросить клиента с таким id. Возьмите curl --path-as-is.",
  failed: ({ status, line }) => `Ответ сервера ${status}: ${line}`,
  "close.1000": "Закрыта этой страницей.",
  "close.1001": "Сервер останавливают, или клиент не ответил на PING.",
  "close.1002": "Клиент нарушил протокол WebSocket.",
  "close.1005": "Закрыта без кода.",
  "close.1006": "Соединение оборвалось, или сервер отказал.",
  "close.1007": "Клиент прислал текст не в UTF-8.",
  "close.1008": "Клиент прислал слишком много сообщений.",
  "close.1009": "Клиент прислал слишком большое сообщение.",
  "close.1013": "Сервер потерял реестр и пока не вправе держать сессии.",
  "close.4401": "Срок токена истёк.",
  "close.4403": "Сессию завершил оператор.",
  "close.4408": "Клиент уже подключён, а вытеснять его не просили.",
  "close.4409": "Место заняло более новое соединение с тем же id клиента.",
  "close.4429": "Слишком много соединений с этим id вытесняют друг друга.",
  replaced: ({ session, node }) => `вытеснила ${session} на ${node}`,
  replacedBy: ({ session, node }) =>
    `Место заняла сессия ${session} на узле ${node}. Клиент сам не возвращается.`,
  "after.reconnect": "Клиент переподключается сам.",
  "after.stay-away": "Клиент сам не возвращается.",
};

/** The language of the page: the first of the browser's that there are texts in. */
export const language =
  navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag === "ru" || tag === "en") ?? "en";

/** By language. */
export const TEXTS = { en, ru };

const texts = language === "ru" ? ru : en;

/**
 * @param {string} key
 * @param {Record<string, string>} [values]
 * @returns {string}
 */
export function text(key, values = {}) {
  const found = texts[key] ?? key;
  return typeof found === "string" ? found : found(values);
}

/** @param {string} key */
export function hasText(key) {
  return key in texts;
}

/** Puts the texts in their places. */
export function translatePage() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = text(element.getAttribute("data-text") ?? "");
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.setAttribute("placeholder", text(element.getAttribute("data-placeholder") ?? ""));
  }
}

const numbers = new Intl.NumberFormat(language);

/** @param {number} value */
export function number(value) {
  return numbers.format(value);
}
