import assert from "node:assert/strict";
import fc from "fast-check";
import { Framer } from "../../lib/tasks/framing.ts";
import { ProtocolError } from "../../lib/tasks/protocol.ts";

const encoder = new TextEncoder();

/** The requests in a stream that arrives in the given chunks. */
function frame(chunks: Uint8Array<ArrayBuffer>[], maxBytes = 1024): string[] {
  const framer = new Framer(maxBytes);
  const requests: string[] = [];
  for (const chunk of chunks) {
    const buffer = chunk.slice(); // reused for the next read, as the server does
    framer.feed(buffer);
    for (let text = framer.next(); text !== undefined; text = framer.next()) requests.push(text);
    buffer.fill(0);
  }
  framer.end();
  return requests;
}

const bytes = (text: string) => encoder.encode(text);

/** Every kind of request, and every trick in a string that looks like a frame. */
const MESSAGES = [
  '{"type":"run","task_name":"echo","data":"text"}',
  '{"type": "run", "task_name": "revers", "data": "пример 👨‍👩‍👧 é"}',
  '{"type":"run","task_name":"echo","data":"}{ \\" \\\\"}',
  '{"type":"run","task_name":"echo","data":"\\u043a\\n","more":{"a":[{}]}}',
  '{"type":"status","task_id":42,"wait":true}',
  "{}",
];

Deno.test("Framer: finds every message at every split point", () => {
  for (const message of MESSAGES) {
    for (const end of ["\n", "\r\n", "", "\n\n \t\r\n"]) {
      const stream = bytes(message + end + message + end);
      for (let at = 0; at <= stream.length; at++) {
        assert.deepEqual(frame([stream.slice(0, at), stream.slice(at)]), [message, message]);
      }
    }
  }
});

Deno.test("Framer: finds every message that comes byte by byte", () => {
  const stream = bytes(MESSAGES.join("\r\n"));
  assert.deepEqual(frame(Array.from(stream, (byte) => Uint8Array.of(byte))), MESSAGES);
});

Deno.test("Framer: any split of any stream of requests gives the same requests", () => {
  const message = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue()).map((value) =>
    JSON.stringify(value)
  );
  const separator = fc.constantFrom("", "\n", "\r\n", "\n\n", " \t", "\r");
  const stream = fc.array(fc.tuple(separator, message), { maxLength: 8 });
  fc.assert(fc.property(stream, fc.array(fc.nat(40)), (parts, cuts) => {
    const all = bytes(parts.flat().join(""));
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let at = 0;
    for (const cut of cuts) chunks.push(all.slice(at, at += cut));
    chunks.push(all.slice(at));
    assert.deepEqual(frame(chunks, 1_000_000), parts.map(([, message]) => message));
  }));
});

Deno.test("Framer: a request as long as the limit is taken, one byte more is not", () => {
  const request = '{"data":"' + "a".repeat(89) + '"}';
  assert.equal(request.length, 100);
  for (const chunk of [1, 7, 99, 100, 200]) {
    const chunks = (text: string) =>
      Array.from(
        { length: Math.ceil(text.length / chunk) },
        (_, i) => bytes(text.slice(i * chunk, (i + 1) * chunk)),
      );
    assert.deepEqual(frame(chunks(`\n\n${request}${request}\n`), 100), [request, request]);
    assert.throws(() => frame(chunks(request), 99), new ProtocolError("request is longer than 99 bytes"));
  }
});

Deno.test("Framer: an endless request is refused at the limit, however it arrives", () => {
  const framer = new Framer(1000);
  framer.feed(bytes('{"data":"' + "a".repeat(991)));
  assert.equal(framer.next(), undefined);
  framer.feed(bytes("a"));
  assert.throws(() => framer.next(), ProtocolError);
});

Deno.test("Framer: what is no object is refused with its first byte", () => {
  for (const text of ["G", "[", "4", '"', "n", "}", "\ufeff{}", "{} x", "{},{}", "\0"]) {
    assert.throws(() => frame([bytes(text)]), new ProtocolError("no JSON object"), JSON.stringify(text));
  }
});

Deno.test("Framer: a line that ends inside an object is refused", () => {
  for (const text of ['{"type":\n"list"}', '{"type":"list\n"}', '{"type":"list\\\n"}', "{\r\n}"]) {
    assert.throws(() => frame([bytes(text)]), new ProtocolError("line ends inside an object"));
  }
});

Deno.test("Framer: invalid UTF-8 is refused", () => {
  const quote = (...inner: number[]) => Uint8Array.of(...bytes('{"a":"'), ...inner, ...bytes('"}'));
  for (const chunk of [quote(0xff), quote(0xc0, 0xaf), quote(0xed, 0xa0, 0x80), quote(0xd0)]) {
    assert.throws(() => frame([chunk]), new ProtocolError("invalid UTF-8"));
  }
});

Deno.test("Framer: a stream that ends inside a request is refused, white space at its end is not", () => {
  assert.throws(() => frame([bytes('{"type":"list"')]), new ProtocolError("stream ended inside a request"));
  assert.deepEqual(frame([bytes("{}\r\n \n")]), ["{}"]);
  assert.deepEqual(frame([]), []);
});

Deno.test("Framer: nesting over 64 is no request, whatever it is made of and however it arrives", () => {
  const nested = (depth: number, open: string, close: string) =>
    `{"x":${open.repeat(depth - 1)}0${close.repeat(depth - 1)}}`;
  for (const [open, close] of [["[", "]"], ['{"a":', "}"], ['[{"a":', "}]"]] as const) {
    const levels = open.startsWith("[{") ? 2 : 1;
    const deep = '{"x":' + open.repeat(64 / levels);
    for (const size of [1, 7, 1000]) {
      const chunks = (text: string) =>
        Array.from(
          { length: Math.ceil(text.length / size) },
          (_, i) => bytes(text.slice(i * size, (i + 1) * size)),
        );
      assert.throws(() => frame(chunks(deep), 1_000_000), new ProtocolError("nesting is deeper than 64"));
      if (levels > 1) continue;
      const allowed = nested(64, open, close);
      assert.deepEqual(frame(chunks(allowed), 1_000_000), [allowed]);
    }
  }
  const text = JSON.stringify({ data: "[{".repeat(100) });
  assert.deepEqual(frame([bytes(text)], 1000), [text], "inside a string nothing counts");
  const one = nested(40, "[", "]");
  assert.deepEqual(frame([bytes(one + one)], 1000), [one, one], "each request counts for itself");
});

Deno.test("Framer: arrays that close more than they open are refused at once", () => {
  assert.throws(() => frame([bytes('{"x":]')]), new ProtocolError("no JSON object"));
  assert.throws(() => frame([bytes('{"x":[]],[')]), new ProtocolError("no JSON object"));
});

Deno.test("Framer: more values than a request may have are refused, in pieces too", () => {
  const count = (text: string, maxValues: number, size = 1000) => {
    const framer = new Framer(1_000_000, maxValues);
    const found: string[] = [];
    for (let at = 0; at < text.length; at += size) {
      framer.feed(bytes(text.slice(at, at + size)));
      for (let next; (next = framer.next()) !== undefined;) found.push(next);
    }
    return found;
  };
  const request = '{"a":[1,{},"x,y"]}'; // one field, three elements, and what is empty counts as one more
  for (const size of [1, 3, 1000]) {
    assert.deepEqual(count(request + request, 5, size), [request, request]);
    assert.throws(() => count(request, 4, size), new ProtocolError("request has more than 4 values"));
  }
});
