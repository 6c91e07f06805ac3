// @ts-check
/** Subjects in a process of Deno or Node: a line of JSON for each call, and one for each answer. */

import process from "node:process";
import { createInterface } from "node:readline";
import { connect } from "../../lib/sessions/page/client.js";
import { Subject } from "./client_subject.js";

/** @type {any} */
let subject;

for await (const line of createInterface(process.stdin)) {
  const [method, ...args] = JSON.parse(line);
  try {
    if (method === "play") subject = new Subject(connect, args[0]);
    const answer = method === "play" ? null : await subject[method](...args);
    console.log(JSON.stringify({ answer }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
