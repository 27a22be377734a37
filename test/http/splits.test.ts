/** A body may come in any pieces: cut in two at each byte, or byte by byte, it is the same call. */
import { once } from 'node:events';
import test from 'ava';
import { parseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { startRelay } from '../support/relays.ts';
import { answersIn, everything, open, requestBytes } from './raw.ts';

const VALUE = '<struct ><member><name>ä&#x1F40D;🐍</name><value><![CDATA[<é>]]>\r\n<!-- - --><?p?>&amp;&#13;</value></member></struct>';
const BODY = Buffer.from(
  `\ufeff<?xml version="1.0" encoding="UTF-8"?>\r\n<methodCall><methodName>test</methodName><params><param><value>${VALUE}</value></param></params></methodCall>`,
);
const READ = { 'ä🐍🐍': '<é>\n&\r' };

/** Sends the pieces one after the other, each by itself, and takes the answer. */
async function sendPieces(url: string, pieces: readonly Buffer[]): Promise<unknown> {
  const [first = Buffer.alloc(0), ...rest] = pieces;
  const socket = open(url, first);
  const answer = everything(socket);
  socket.setNoDelay(true);
  await once(socket, 'connect');
  for (const piece of rest) {
    await new Promise((resolve) => setImmediate(resolve));
    socket.write(piece);
  }
  const response = parseResponse(answersIn(await answer)[0]!.body);
  return response.kind === 'value' ? response.value : response;
}

test('a call is answered if its body is split in two at any byte', async (t) => {
  const { url } = await startRelay(t);
  const whole = requestBytes(url, { body: BODY });
  const start = whole.length - BODY.length;
  const expected = await sendPieces(url, [whole]);
  t.deepEqual({ ...(expected as object) }, READ);
  for (let from = start; from < whole.length; from += 20) {
    const cuts = Array.from({ length: Math.min(20, whole.length - from) }, (_, at) => from + at);
    const answers = await Promise.all(cuts.map((cut) => sendPieces(url, [whole.subarray(0, cut), whole.subarray(cut)])));
    answers.forEach((answer, at) => {
      t.deepEqual(answer, expected, `cut at byte ${cuts[at]! - start} of the body`);
    });
  }
});

test('a call sent byte by byte, including headers, is answered', async (t) => {
  const { url } = await startRelay(t);
  const whole = requestBytes(url, { body: BODY });
  const answer = await sendPieces(
    url,
    Array.from(whole, (_, at) => whole.subarray(at, at + 1)),
  );
  t.deepEqual({ ...(answer as object) }, READ);
});
