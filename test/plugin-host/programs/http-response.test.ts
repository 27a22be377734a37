/** Responses of a program's server: fragmented at any byte, framed in every way, or hostile. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { ResponseReader } from '../../../src/plugin-host/programs/http-response.ts';
import type { HttpResponse } from '../../../src/plugin-host/programs/http-response.ts';

const TYPE = 'Content-Type: text/xml; charset=utf-8\r\n';

/** Reads `text` in pieces of `size` bytes, and then the end of the connection if the response is not complete yet. */
function read(text: string, size = Infinity, maxBytes = 1_000): HttpResponse {
  const reader = new ResponseReader(maxBytes);
  const bytes = Buffer.from(text, 'latin1');
  for (let from = 0; from < bytes.length; from += size) {
    const response = reader.push(bytes.subarray(from, Math.min(from + size, bytes.length)));
    if (response) return response;
  }
  return reader.end();
}

/** The number of bytes that are still reachable after a garbage collection. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

const WHOLE: Readonly<Record<string, { text: string; isReusable: boolean }>> = {
  'a length': { text: `HTTP/1.1 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>`, isReusable: true },
  'a length, and the end of the connection': {
    text: `HTTP/1.1 200 OK\r\n${TYPE}Connection: close\r\nContent-Length: 5\r\n\r\n<xml>`,
    isReusable: false,
  },
  'HTTP/1.0': { text: `HTTP/1.0 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>`, isReusable: false },
  'HTTP/1.0 with a persistent connection': {
    text: `HTTP/1.0 200 OK\r\n${TYPE}Connection: Keep-Alive\r\nContent-Length: 5\r\n\r\n<xml>`,
    isReusable: true,
  },
  'a body that ends with the connection': { text: `HTTP/1.1 200 OK\r\n${TYPE}\r\n<xml>`, isReusable: false },
  chunks: {
    text: `HTTP/1.1 200 OK\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n2\r\n<x\r\n3;a=b\r\nml>\r\n0\r\nTrailer: x\r\n\r\n`,
    isReusable: true,
  },
  '100 Continue before the response': {
    text: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>`,
    isReusable: true,
  },
};

for (const [name, { text, isReusable }] of Object.entries(WHOLE)) {
  test(`reads ${name}, at once and in pieces of every size`, (t) => {
    for (let size = 1; size <= text.length; size++) {
      const response = read(text, size);
      t.is(response.body.toString(), '<xml>', `pieces of ${size}`);
      t.is(response.charset, 'utf-8');
      t.is(response.isReusable, isReusable);
    }
  });
}

test('a connection with bytes after its response is not reusable', (t) => {
  t.false(read(`HTTP/1.1 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>HTTP/1.1 200`).isReusable);
});

const HEAD = `HTTP/1.1 200 OK\r\n${TYPE}`;
const WRONG: Readonly<Record<string, RegExp>> = {
  '': /ended without an answer/,
  'HTTP/1.1 200 OK': /ended before the response was complete/,
  [`${HEAD}Content-Length: 5\r\n\r\n<x`]: /ended before the response was complete/,
  'SSH-2.0\r\n\r\n': /something that is not HTTP: 'SSH-2\.0'/,
  'HTTP/2 200\r\n\r\n': /not HTTP/,
  'HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n': /it answered HTTP 302/,
  'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n': /it did not answer with XML/,
  [`${HEAD}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n<xml>`]: /Content-Encoding that was not requested/,
  [`${HEAD}Content-Length: 5\r\nContent-Length: 5\r\n\r\n<xml>`]: /two headers content-length/,
  [`${HEAD}Content-Length: -5\r\n\r\n<xml>`]: /is not a number/,
  [`${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`]: /not requested, or two lengths/,
  [`${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n`]: /not requested, or two lengths/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\nx\r\n`]: /a chunk of its response has no size/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\n${'0'.repeat(2_000)}`]: /line between two chunks of its response is too long/,
  [`${HEAD}Content-Length: 1001\r\n\r\n`]: /its response is larger than 1000 bytes/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\nfffffff\r\n`]: /larger than 1000 bytes/,
  [`${HEAD}\r\n${'x'.repeat(1_001)}`]: /larger than 1000 bytes/,
  [`${HEAD}${'X-Long: x\r\n'.repeat(2_000)}`]: /the headers of the response are too large/,
  [`${HEAD} folded: x\r\n\r\n`]: /are not HTTP/,
};

for (const [text, reason] of Object.entries(WRONG)) {
  test(`malformed response is rejected: ${JSON.stringify(text.slice(0, 90))}`, (t) => {
    t.throws(() => read(text), { code: 'TRANSPORT', message: reason });
    t.throws(() => read(text, 7), { code: 'TRANSPORT', message: reason });
  });
}

test('a body in chunks of a few bytes takes memory for its content, not for the pieces', (t) => {
  const count = 400_000;
  const bytes = Buffer.from(`${HEAD}Transfer-Encoding: chunked\r\n\r\n${'8\r\n<a></a>\n\r\n'.repeat(count)}`);
  const reader = new ResponseReader(8 * count);
  const before = heapInUse();
  for (let from = 0; from < bytes.length; from += 65_536) t.is(reader.push(Buffer.from(bytes.subarray(from, from + 65_536))), undefined);
  const grown = heapInUse() - before;
  t.true(grown < 8_000_000, `the heap grew by ${grown} bytes`);
  t.is(reader.push(Buffer.from('0\r\n\r\n'))?.body.toString(), '<a></a>\n'.repeat(count));
});

for (const [name, text] of [
  ['endless interim responses', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50_000)],
  ['chunks of one byte', `${HEAD}Transfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(300_000)}`],
] as const) {
  test(`${name} are rejected`, (t) => {
    t.throws(() => read(text, 65_536, 1_000_000), { code: 'TRANSPORT', message: /more headers and lines between chunks than content/ });
  });
}
