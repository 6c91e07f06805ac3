import assert from "node:assert/strict";
import { parseReply, parseRequest, ProtocolError } from "../../lib/tasks/protocol.ts";

Deno.test("parseRequest: takes every request", () => {
  for (
    const request of [
      { type: "run", task_name: "echo", data: "" },
      { type: "status", task_id: 1 },
      { type: "status", task_id: 1, wait: false },
      { type: "get_result", task_id: Number.MAX_SAFE_INTEGER, wait: true },
      { type: "list" },
      { type: "cancel", task_id: 42 },
      { type: "stats" },
    ]
  ) assert.deepEqual(parseRequest(JSON.stringify(request)), request);
});

Deno.test("parseRequest: ignores fields it does not know", () => {
  assert.deepEqual(parseRequest('{"type":"list","id":7,"__proto__":{"type":"stats"}}'), { type: "list" });
});

Deno.test("parseRequest: refuses the rest and says which field is wrong", () => {
  const wrong: [string, RegExp][] = [
    ["", /no JSON object/],
    ["{", /no JSON object/],
    ["{'type':'list'}", /no JSON object/],
    ["[]", /wrong shape/],
    ["null", /wrong shape/],
    ["{}", /wrong type/],
    ['{"type":"stop"}', /wrong type/],
    ['{"type":["list"]}', /wrong type/],
    ['{"type":"run","data":""}', /wrong task_name/],
    ['{"type":"run","task_name":"echo"}', /wrong data/],
    ['{"type":"run","task_name":"echo","data":5}', /wrong data/],
    ['{"type":"run","task_name":null,"data":""}', /wrong task_name/],
    ['{"type":"status"}', /wrong task_id/],
    ['{"type":"status","task_id":"42"}', /wrong task_id/],
    ['{"type":"status","task_id":0}', /wrong task_id/],
    ['{"type":"status","task_id":-1}', /wrong task_id/],
    ['{"type":"status","task_id":1.5}', /wrong task_id/],
    ['{"type":"status","task_id":1e300}', /wrong task_id/],
    ['{"type":"status","task_id":1,"wait":"true"}', /wrong wait/],
    ['{"type":"get_result","task_id":null}', /wrong task_id/],
    ['{"type":"cancel"}', /wrong task_id/],
  ];
  for (const [text, reason] of wrong) {
    assert.throws(() => parseRequest(text), (error) => {
      assert(error instanceof ProtocolError, text);
      assert.match(error.message, reason, text);
      assert(!error.message.includes("\n"));
      return true;
    });
  }
});

Deno.test("parseReply: refuses what is no reply to that request", () => {
  assert.deepEqual(parseReply("run", '{"error":"queue is full"}\n'), { error: "queue is full" });
  for (
    const line of ["", "{}", '{"status":"done"}', '{"status":"success","data":5}', "HTTP/1.1 400 Bad Request"]
  ) {
    assert.throws(() => parseReply("get_result", line), ProtocolError, line);
  }
});
