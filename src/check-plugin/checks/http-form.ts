/** What only a program with a server can be asked. */
import { serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import type { Check, Exam } from '../exam.ts';
import { failed, inWords, note, ok } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const PING = serialiseCall('ping', []).toString();
// Fewer than the host's connections, so that a server that serves them one after the other answers in time.
const AT_ONCE = 3;
// A connection that is kept keeps out the next one for as long as the host keeps it, a second.
const BLOCKED_MS = (AT_ONCE - 1) * 900;

const OTHER_PATH: Check = {
  name: 'another path than its own is refused',
  section: 'The first line',
  expected: 'HTTP status 404',
  advice:
    'compare the path of each request with the one of the first line, and answer 404 at any other: every user of the machine can reach the port',
  needsMain: true,
  look: async (exam) => {
    const answers: RawAnswer[] = [];
    for (const path of ['/', '/RPC2', `${placeOf(exam).path}x`]) {
      const answer = await ask(exam, { path }).catch(() => undefined);
      if (answer?.status === 200)
        return failed(`a call at ${path.length > 10 ? 'its path and one letter more' : path} was answered with status 200`);
      if (answer) answers.push(answer);
    }
    const other = answers.find(({ status }) => status !== 404);
    if (other) return note(`status ${other.status}`);
    return ok(answers.length === 0 ? 'the connection is closed' : undefined);
  },
};

const FORM: Check = {
  name: 'its answers are HTTP as the relay reads it',
  section: 'What the relay calls',
  expected: 'status 200, Content-Type: text/xml, and a Content-Length or chunks',
  advice: 'send these headers with each answer, also with a fault',
  needsMain: true,
  look: async (exam) => {
    const { status, headers } = await ask(exam, {});
    const type = headers['content-type'] ?? '';
    if (status !== 200) return failed(`status ${status}`);
    if (!/^(?:text|application)\/xml *(?:;|$)/i.test(type)) return failed(`Content-Type: ${type === '' ? 'none' : type}`);
    if (headers['content-encoding'] !== undefined) return failed(`Content-Encoding: ${headers['content-encoding']}`);
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined)
      return note('an answer that ends with its connection', 'with a Content-Length an answer that breaks off is seen to be broken');
    return ok(/close/i.test(headers.connection ?? '') ? 'a connection for each call' : undefined);
  },
};

const TOGETHER: Check = {
  name: 'calls that come at the same time are all answered',
  section: 'What the relay calls',
  expected: `${AT_ONCE} calls over as many connections, answered within 5 s`,
  advice: 'a server that serves one connection at a time closes each after its answer (Connection: close, or HTTP/1.0)',
  needsMain: true,
  look: async ({ main, parts: { clock, limits } }) => {
    const begin = clock.now();
    await Promise.all(Array.from({ length: AT_ONCE }, () => main.ping(limits.pingMs)));
    const ms = Math.round(clock.now() - begin);
    return ms < BLOCKED_MS ? ok() : note(`they took ${ms} ms: a connection that is kept keeps out the others`);
  },
};

const BROKEN: Check = {
  name: 'broken requests do not end it',
  section: 'What the relay calls',
  expected: 'that it answers ping after a body that is no XML, a GET, half a request and what is no HTTP',
  advice: 'answer what cannot be read with a fault or an HTTP error, and go on',
  needsMain: true,
  look: async (exam) => {
    const { main, parts } = exam;
    const { port, path } = placeOf(exam);
    const timeoutMs = parts.limits.pingMs;
    const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n`;
    const broken: readonly (readonly [what: string, send: () => Promise<unknown>])[] = [
      ['a body that is no XML', () => ask(exam, { body: '<methodCall><methodName>ping</meth' })],
      ['a GET', () => ask(exam, { method: 'GET', body: '' })],
      ['half a request', () => sendAndLeave(port, `${head}<?xml`, timeoutMs)],
      ['what is no HTTP', () => sendAndLeave(port, '\u0000\u0001 hello\r\n\r\n', timeoutMs)],
    ];
    for (const [what, send] of broken) {
      await send().catch(() => undefined);
      const outcome = await livesAfter(what, () => main.ping(timeoutMs));
      if (outcome) return outcome;
    }
    return ok();
  },
};

export const HTTP_FORM: readonly Check[] = [OTHER_PATH, FORM, TOGETHER, BROKEN].map((check) => ({
  ...check,
  when: ({ isHttp }) => isHttp,
}));

async function livesAfter(what: string, ping: () => Promise<void>): Promise<Outcome | undefined> {
  try {
    await ping();
    return undefined;
  } catch (error) {
    return failed(`after ${what}: ${inWords(error)}`);
  }
}

function placeOf({ main: { handshake } }: Exam): { readonly port: number; readonly path: string } {
  if (handshake?.form === 'http') return handshake;
  throw new Error('it has no server');
}

function ask(exam: Exam, over: { readonly path?: string; readonly method?: string; readonly body?: string }): Promise<RawAnswer> {
  return exchange({ ...placeOf(exam), method: 'POST', body: PING, timeoutMs: exam.parts.limits.pingMs, ...over });
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Its beginning. */
  readonly body: string;
}

export interface RawRequest {
  readonly port: number;
  readonly path: string;
  readonly method: string;
  readonly body: string;
  readonly timeoutMs: number;
}

const MAX_BODY = 64 * 1024;

/** Rejects with an Error if there is no answer in time, or none that is HTTP. */
export function exchange({ port, path, method, body, timeoutMs }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'text/xml; charset=utf-8', 'content-length': Buffer.byteLength(body) };
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let text = '';
      const done = (): void => {
        clearTimeout(late);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        sent.destroy();
      };
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_BODY) done();
      });
      response.on('end', done);
      response.on('error', done);
    });
    const late = setTimeout(() => {
      sent.destroy(new Error(`no answer in ${timeoutMs} ms`));
    }, timeoutMs);
    sent.on('error', (error) => {
      clearTimeout(late);
      reject(error);
    });
    sent.end(body);
  });
}

/** Sends bytes, says nothing more, and hangs up; resolves when the connection is gone, or after `timeoutMs`. */
export function sendAndLeave(port: number, bytes: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const late = setTimeout(() => {
      socket.destroy();
    }, timeoutMs);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(late);
      resolve();
    });
    socket.on('data', () => undefined);
    socket.end(bytes);
  });
}

const LOOK_MS = 20;

const FETCHES: Check = {
  name: 'it fetches its calls',
  section: 'Without a server',
  expected: 'a call of plugin.next within 5 s, always',
  advice: 'call plugin.next again after each answer, at once: that it fetches is its sign of life',
  needsMain: true,
  look: async ({ main, parts: { limits } }) => {
    await main.ping(limits.pingMs);
    return ok();
  },
};

const EMPTY: Check = {
  name: 'that there is no call is no call',
  section: 'Without a server',
  expected: 'plugin.next again, after an empty struct was its answer',
  advice: 'an answer of plugin.next without the member id is no call: ask again',
  needsMain: true,
  look: async ({ main, parts: { clock, limits, relay } }) => {
    const seen = relay.seen(main.id);
    const until = clock.now() + limits.pingMs;
    while (seen.empties === 0 && !main.end && clock.now() < until) await sleep(LOOK_MS);
    const before = seen.fetches;
    while (seen.fetches === before && !main.end && clock.now() < until) await sleep(LOOK_MS);
    return seen.fetches > before ? ok() : failed(main.end?.reason ?? `it did not ask again in ${limits.pingMs} ms`);
  },
};

export const POLL_FORM: readonly Check[] = [FETCHES, EMPTY].map((check) => ({ ...check, when: ({ isPoll }) => isPoll }));
