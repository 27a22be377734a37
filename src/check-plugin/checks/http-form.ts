/** Checks of the transport: of the HTTP server of a program that has one, and of the polling of a program that has none. */
import { serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import type { Check, Exam } from '../exam.ts';
import { failed, describeError, note, ok } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const PING = serialiseCall('ping', []).toString();
// Fewer than the connections of the host, so that a server that serves them one after another still answers in time.
const AT_ONCE = 3;
// A server that serves one connection at a time blocks the next one for as long as the host keeps the connection, which is a second.
const BLOCKED_MS = (AT_ONCE - 1) * 900;

const OTHER_PATH: Check = {
  name: 'it rejects other paths than its own',
  section: 'The first line',
  expected: 'HTTP status 404',
  advice:
    'compare the path of each request with that of the first line, and answer 404 for any other: every user of the machine can reach the port',
  needsMain: true,
  run: async (exam) => {
    const answers: RawAnswer[] = [];
    for (const path of ['/', '/RPC2', `${endpointOf(exam).path}x`]) {
      const answer = await ask(exam, { path }).catch(() => undefined);
      if (answer?.status === 200)
        return failed(`a call of ${path.length > 10 ? 'its path with another letter appended' : path} was answered with status 200`);
      if (answer) answers.push(answer);
    }
    const other = answers.find(({ status }) => status !== 404);
    if (other) return note(`status ${other.status}`);
    return ok(answers.length === 0 ? 'the connection is closed' : undefined);
  },
};

const FORM: Check = {
  name: 'its HTTP responses are valid',
  section: 'What the relay calls',
  expected: 'status 200, Content-Type: text/xml, and a Content-Length or chunks',
  advice: 'send these headers with each response, even with a fault',
  needsMain: true,
  run: async (exam) => {
    const { status, headers } = await ask(exam, {});
    const type = headers['content-type'] ?? '';
    if (status !== 200) return failed(`status ${status}`);
    if (!/^(?:text|application)\/xml *(?:;|$)/i.test(type)) return failed(`Content-Type: ${type === '' ? 'none' : type}`);
    if (headers['content-encoding'] !== undefined) return failed(`Content-Encoding: ${headers['content-encoding']}`);
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined)
      return note('a response that ends with its connection', 'send a Content-Length, so that a truncated response can be recognized');
    return ok(/close/i.test(headers.connection ?? '') ? 'one connection per call' : undefined);
  },
};

const TOGETHER: Check = {
  name: 'it answers simultaneous calls',
  section: 'What the relay calls',
  expected: `${AT_ONCE} calls over as many connections, answered within 5 s`,
  advice: 'a server that serves one connection at a time must close each after its response (Connection: close, or HTTP/1.0)',
  needsMain: true,
  run: async ({ main, parts: { clock, limits } }) => {
    const begin = clock.now();
    await Promise.all(Array.from({ length: AT_ONCE }, () => main.ping(limits.pingMs)));
    const ms = Math.round(clock.now() - begin);
    return ms < BLOCKED_MS ? ok() : note(`they took ${ms} ms: an open connection blocks the others`);
  },
};

const BROKEN: Check = {
  name: 'it survives malformed requests',
  section: 'What the relay calls',
  expected: 'an answer to ping after a body that is not XML, a GET, half a request and bytes that are not HTTP',
  advice: 'answer a malformed request with a fault or an HTTP error, and continue',
  needsMain: true,
  run: async (exam) => {
    const { main, parts } = exam;
    const { port, path } = endpointOf(exam);
    const timeoutMs = parts.limits.pingMs;
    const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n`;
    const broken: readonly (readonly [what: string, send: () => Promise<unknown>])[] = [
      ['a body that is not XML', () => ask(exam, { body: '<methodCall><methodName>ping</meth' })],
      ['a GET', () => ask(exam, { method: 'GET', body: '' })],
      ['half a request', () => sendAndLeave(port, `${head}<?xml`, timeoutMs)],
      ['bytes that are not HTTP', () => sendAndLeave(port, '\u0000\u0001 hello\r\n\r\n', timeoutMs)],
    ];
    for (const [what, send] of broken) {
      await send().catch(() => undefined);
      const outcome = await livesAfter(what, () => main.ping(timeoutMs));
      if (outcome) return outcome;
    }
    return ok();
  },
};

/** The checks of a program with a server. */
export const HTTP_FORM: readonly Check[] = [OTHER_PATH, FORM, TOGETHER, BROKEN].map((check) => ({
  ...check,
  when: ({ isHttp }) => isHttp,
}));

async function livesAfter(what: string, ping: () => Promise<void>): Promise<Outcome | undefined> {
  try {
    await ping();
    return undefined;
  } catch (error) {
    return failed(`after ${what}: ${describeError(error)}`);
  }
}

function endpointOf({ main: { handshake } }: Exam): { readonly port: number; readonly path: string } {
  if (handshake?.form === 'http') return handshake;
  throw new Error('it has no server');
}

function ask(exam: Exam, over: { readonly path?: string; readonly method?: string; readonly body?: string }): Promise<RawAnswer> {
  return exchange({ ...endpointOf(exam), method: 'POST', body: PING, timeoutMs: exam.parts.limits.pingMs, ...over });
}

/** An HTTP response. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The beginning of the body. */
  readonly body: string;
}

/** An HTTP request to this machine. */
export interface RawRequest {
  readonly port: number;
  readonly path: string;
  readonly method: string;
  readonly body: string;
  readonly timeoutMs: number;
}

const MAX_BODY = 64 * 1024;

/** Sends a request and resolves to the response. Rejects with an Error if there is none in time, or it is not HTTP. */
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

/** Sends bytes and ends the connection; resolves when it is closed, or after `timeoutMs`. */
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

const INTERVAL_MS = 20;

const FETCHES: Check = {
  name: 'it fetches its calls',
  section: 'Without a server',
  expected: 'a call of plugin.next within 5 s, at any time',
  advice: 'call plugin.next again right after each answer: it is also the sign of life',
  needsMain: true,
  run: async ({ main, parts: { limits } }) => {
    await main.ping(limits.pingMs);
    return ok();
  },
};

const EMPTY: Check = {
  name: 'it polls again if there is no call',
  section: 'Without a server',
  expected: 'plugin.next again, after it returned an empty struct',
  advice: 'an answer of plugin.next without the member id is not a call: poll again',
  needsMain: true,
  run: async ({ main, parts: { clock, limits, relay } }) => {
    const seen = relay.seen(main.id);
    const until = clock.now() + limits.pingMs;
    while (seen.empties === 0 && !main.end && clock.now() < until) await sleep(INTERVAL_MS);
    const before = seen.fetches;
    while (seen.fetches === before && !main.end && clock.now() < until) await sleep(INTERVAL_MS);
    return seen.fetches > before ? ok() : failed(main.end?.reason ?? `it did not poll again within ${limits.pingMs} ms`);
  },
};

/** The checks of a program without a server. */
export const POLL_FORM: readonly Check[] = [FETCHES, EMPTY].map((check) => ({ ...check, when: ({ isPoll }) => isPoll }));
