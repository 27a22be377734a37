/** HTTP as bytes: requests with any headers and in any spelling, sent over a socket, and their answers taken apart. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { Sendable } from '../../src/values/values.ts';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of a repeated one the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export type HeaderList = readonly (readonly [name: string, value: string])[];

export interface RawRequest {
  readonly method?: string;
  readonly path?: string;
  readonly version?: string;
  /** Instead of the defaults: Host, Content-Type: text/xml and Content-Length, each unless it is given here; undefined leaves it out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** As they are, after all others. */
  readonly more?: HeaderList;
  readonly body?: string | Uint8Array;
}

export const PING = serialiseCall('ping', []);

/** The bytes of a request. */
export function requestBytes(
  url: string,
  { method = 'POST', path = '/RPC2', version = '1.1', headers = {}, more = [], body }: RawRequest = {},
): Buffer {
  const bytes = Buffer.from(body ?? (method === 'POST' ? PING : ''));
  const given = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const defaults: HeaderList = [
    ['Host', new URL(url).host],
    ['Connection', 'close'],
    ...(method === 'POST' ? ([['Content-Type', 'text/xml']] as const) : []),
    ...(bytes.length > 0 ? ([['Content-Length', String(bytes.length)]] as const) : []),
  ];
  const own = Object.entries(headers).filter((header): header is [string, string] => header[1] !== undefined);
  const lines = [...defaults.filter(([name]) => !given.has(name.toLowerCase())), ...own, ...more].map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/${version}\r\n${lines.join('')}\r\n`, 'latin1'), bytes]);
}

/** Everything that comes back until the server closes. */
export async function exchange(url: string, bytes: Uint8Array): Promise<RawAnswer[]> {
  return answersIn(await everything(open(url, bytes)));
}

/** The one answer to a request. */
export async function request(url: string, what: RawRequest = {}): Promise<RawAnswer> {
  const answers = await exchange(url, requestBytes(url, what));
  const [answer] = answers.filter(({ status }) => status >= 200);
  if (!answer) throw new Error(`no answer to ${JSON.stringify(what)}`);
  return answer;
}

/** What a call is answered, whatever HTTP headers it has. */
export async function call(url: string, method: string, params: readonly Sendable[] = [], what: RawRequest = {}): Promise<ParsedResponse> {
  const answer = await request(url, { body: serialiseCall(method, params), ...what });
  if (answer.status !== 200) throw new Error(`HTTP ${answer.status}: ${answer.body.toString()}`);
  return parseResponse(answer.body);
}

/** A connection with `bytes` sent. */
export function open(url: string, bytes: Uint8Array): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), allowHalfOpen: true });
  socket.on('error', () => undefined);
  socket.write(bytes);
  return socket;
}

/** All bytes that come until the other side ends. */
export function everything(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const end = (): void => {
      socket.destroy();
      resolve(Buffer.concat(chunks));
    };
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', end);
    socket.on('close', end);
  });
}

/** Takes answers apart; each has a Content-Length or goes to the end. */
export function answersIn(bytes: Buffer): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = bytes;
  for (let end = rest.indexOf('\r\n\r\n'); end >= 0; end = rest.indexOf('\r\n\r\n')) {
    const [first = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number(first.split(' ')[1]);
    const length = status < 200 || status === 204 ? 0 : Number(headers['content-length'] ?? rest.length);
    answers.push({ status, headers, body: rest.subarray(end + 4, end + 4 + length) });
    rest = rest.subarray(end + 4 + length);
  }
  return answers;
}
