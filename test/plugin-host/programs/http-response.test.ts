/** Answers of a program's server, cut anywhere, framed in every way, or hostile. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { ResponseReader } from '../../../src/plugin-host/programs/http-response.ts';
import type { HttpResponse } from '../../../src/plugin-host/programs/http-response.ts';

const TYPE = 'Content-Type: text/xml; charset=utf-8\r\n';

/** What is read of `text` in pieces of `size` bytes, and of the end of the connection if nothing was whole before. */
function read(text: string, size = Infinity, maxBytes = 1_000): HttpResponse {
  const reader = new ResponseReader(maxBytes);
  const bytes = Buffer.from(text, 'latin1');
  for (let from = 0; from < bytes.length; from += size) {
    const response = reader.push(bytes.subarray(from, Math.min(from + size, bytes.length)));
    if (response) return response;
  }
  return reader.end();
}

/** Bytes of what can still be reached. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

const WHOLE: Readonly<Record<string, { text: string; isReusable: boolean }>> = {
  'a length': { text: `HTTP/1.1 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>`, isReusable: true },
  'a length, and the end': { text: `HTTP/1.1 200 OK\r\n${TYPE}Connection: close\r\nContent-Length: 5\r\n\r\n<xml>`, isReusable: false },
  'a server of 1996': { text: `HTTP/1.0 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>`, isReusable: false },
  'one that keeps its connections': {
    text: `HTTP/1.0 200 OK\r\n${TYPE}Connection: Keep-Alive\r\nContent-Length: 5\r\n\r\n<xml>`,
    isReusable: true,
  },
  'up to the end': { text: `HTTP/1.1 200 OK\r\n${TYPE}\r\n<xml>`, isReusable: false },
  chunks: {
    text: `HTTP/1.1 200 OK\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n2\r\n<x\r\n3;a=b\r\nml>\r\n0\r\nTrailer: x\r\n\r\n`,
    isReusable: true,
  },
  'a word in advance': { text: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>`, isReusable: true },
};

for (const [name, { text, isReusable }] of Object.entries(WHOLE)) {
  test(`${name}, whole and in pieces of every size`, (t) => {
    for (let size = 1; size <= text.length; size++) {
      const response = read(text, size);
      t.is(response.body.toString(), '<xml>', `pieces of ${size}`);
      t.is(response.charset, 'utf-8');
      t.is(response.isReusable, isReusable);
    }
  });
}

test('what comes after the answer makes the connection worthless', (t) => {
  t.false(read(`HTTP/1.1 200 OK\r\n${TYPE}Content-Length: 5\r\n\r\n<xml>HTTP/1.1 200`).isReusable);
});

const HEAD = `HTTP/1.1 200 OK\r\n${TYPE}`;
const WRONG: Readonly<Record<string, RegExp>> = {
  '': /ended without an answer/,
  'HTTP/1.1 200 OK': /ended before the answer was whole/,
  [`${HEAD}Content-Length: 5\r\n\r\n<x`]: /ended before the answer was whole/,
  'SSH-2.0\r\n\r\n': /something that is not HTTP: 'SSH-2\.0'/,
  'HTTP/2 200\r\n\r\n': /not HTTP/,
  'HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n': /it answered HTTP 302/,
  'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n': /it answered no XML/,
  [`${HEAD}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n<xml>`]: /Content-Encoding that was not asked for/,
  [`${HEAD}Content-Length: 5\r\nContent-Length: 5\r\n\r\n<xml>`]: /two headers content-length/,
  [`${HEAD}Content-Length: -5\r\n\r\n<xml>`]: /is no number/,
  [`${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`]: /two meanings/,
  [`${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n`]: /two meanings/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\nx\r\n`]: /a chunk of its answer has no size/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\n${'0'.repeat(2_000)}`]: /line between two chunks of its answer is too long/,
  [`${HEAD}Content-Length: 1001\r\n\r\n`]: /the answer is larger than 1000 bytes/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\nfffffff\r\n`]: /larger than 1000 bytes/,
  [`${HEAD}\r\n${'x'.repeat(1_001)}`]: /larger than 1000 bytes/,
  [`${HEAD}${'X-Long: x\r\n'.repeat(2_000)}`]: /the headers of the answer are too large/,
  [`${HEAD} folded: x\r\n\r\n`]: /are not HTTP/,
};

for (const [text, reason] of Object.entries(WRONG)) {
  test(`an error: ${JSON.stringify(text.slice(0, 90))}`, (t) => {
    t.throws(() => read(text), { message: reason });
    t.throws(() => read(text, 7), { message: reason });
  });
}

test('a body in chunks of a few bytes takes its own memory, not that of the pieces', (t) => {
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
  ['words in advance without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50_000)],
  ['chunks of one byte', `${HEAD}Transfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(300_000)}`],
] as const) {
  test(`${name} are given up`, (t) => {
    t.throws(() => read(text, 65_536, 1_000_000), { message: /more headers and lines between chunks than content/ });
  });
}
