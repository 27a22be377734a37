/**
 * Work that fetches a URL. It does nothing until the operator lists the hosts that it may ask, and connects only to public addresses unless
 * others are allowed: what submits work must not reach the inside of the network through the relay.
 */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Plugin, Satellite, Work, type WorkContext } from 'co2-relay';
import { z } from 'zod';
import { checkedLookup, isRange, listOf, requirePermitted } from './_addresses.ts';

/** `plugins: { 'task.http': { hosts: ['example.org', '*.example.net', 'api.example.com:8443'] } }` in config.ts. */
const configSchema = z.strictObject({
  /** Hosts that may be asked, `*.` for all below a name, on ports 80 and 443 unless a port is named. Default none: every unit fails. */
  hosts: z
    .array(
      z
        .string()
        .regex(
          /^(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$/,
          'expected a host such as example.org or *.example.org:8443',
        ),
    )
    .max(1000)
    .default([]),
  /** Ranges of addresses that may be connected to although they are not public, such as `10.1.0.0/16`. Default none. */
  allowAddresses: z.array(z.string().refine(isRange, 'expected a range such as 10.1.0.0/16')).max(1000).default([]),
  /** Redirects that are followed; each leads to a permitted host. Default 5. */
  maxRedirects: z.int().min(0).max(20).default(5),
});
type Config = z.infer<typeof configSchema>;

// Those that decide about the connection or the length of the message are not for the submitter to say.
const OWN_HEADERS = new Set(
  'connection content-length expect host keep-alive proxy-authorization te trailer transfer-encoding upgrade'.split(' '),
);
const headers = z.record(
  z
    .string()
    .regex(/^[!#$%&'*+.^`|~\w-]{1,100}$/, 'expected the name of a header')
    .refine((name) => !OWN_HEADERS.has(name.toLowerCase()), 'this header cannot be set'),
  z
    .string()
    .max(8192)
    .regex(/^[\t\x20-\x7e]*$/, 'expected visible ASCII'),
);
const params = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).max(4096),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH']).default('GET'),
  headers: headers.default({}),
  /** More headers, which are never shown. */
  secret_headers: headers.default({}),
});
type Params = z.infer<typeof params>;

// Every header of secret_headers stays with the host for which it was given, and so do these.
const SECRETS = ['authorization', 'cookie'];

@Satellite({ config: configSchema, isolation: 'inline' })
export class Http extends Plugin<Config> {
  /** Fetches `url`; the payload is the body of the request. Yields {url, status, headers}, then the bytes of the response. */
  @Work({ payload: 'stream', params })
  async *execute(payload: AsyncIterable<Buffer>, context: WorkContext<Params, Config>) {
    const { params: asked, config, signal } = context;
    let next = {
      url: new URL(asked.url),
      method: asked.method as string,
      headers: { ...asked.headers, ...asked.secret_headers },
      body: true,
    };
    const secret = new Set([...SECRETS, ...Object.keys(asked.secret_headers).map((name) => name.toLowerCase())]);
    for (let redirects = 0; ; redirects++) {
      requireHost(next.url, config);
      const answer = await fetched(next, payload, config, signal);
      const target = redirectOf(answer, next.url);
      if (target === undefined) {
        yield { url: next.url.href, status: answer.statusCode ?? 0, headers: shown(answer) };
        for await (const chunk of answer as AsyncIterable<Buffer>) yield chunk;
        return;
      }
      answer.destroy();
      if (redirects >= config.maxRedirects) throw new Error(`${asked.url}: more than ${config.maxRedirects} redirects`);
      next = following(next, target, answer.statusCode ?? 0, secret);
    }
  }
}

interface Fetch {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** False after a redirect that turns the request into a GET. */
  readonly body: boolean;
}

/** Throws an Error for a URL that the operator does not permit. */
function requireHost({ hostname, port, protocol, username, password, host }: URL, { hosts }: Config): void {
  if (hosts.length === 0) throw new Error("task.http is off: list the hosts that it may ask, plugins: { 'task.http': { hosts: [...] } }");
  if (username !== '' || password !== '') throw new Error('the URL has a user or a password; send them in secret_headers');
  const asked = hostname.toLowerCase().replace(/\.$/, '');
  const isPermitted = hosts.some((pattern) => {
    const [, name = '', wanted] = /^(.*?)(?::(\d+))?$/.exec(pattern.toLowerCase()) ?? [];
    const isName = name.startsWith('*.') ? asked.endsWith(name.slice(1)) : asked === name;
    const standard = protocol === 'https:' ? '443' : '80';
    return isName && (wanted === undefined ? port === '' || port === '80' || port === '443' : (port || standard) === wanted);
  });
  if (!isPermitted) throw new Error(`${host} is not one of the hosts that task.http may ask (its configuration lists them)`);
}

async function fetched(
  { url, method, headers: given, body }: Fetch,
  payload: AsyncIterable<Buffer>,
  config: Config,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const allowed = listOf(config.allowAddresses);
  // Addresses are not looked up.
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0) requirePermitted(literal, allowed);
  const sends = body && method !== 'GET' && method !== 'HEAD';
  const sent: OutgoingHttpHeaders = { 'accept-encoding': 'identity', 'user-agent': 'co2-relay', ...given };
  const make = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const request = make(url, { method, headers: sent, agent: false, lookup: checkedLookup(allowed), signal });
  // Once there is an answer, nobody waits for the request itself.
  request.on('error', () => undefined);
  const answered = once(request, 'response', { signal }) as Promise<[IncomingMessage]>;
  // A server may answer before it has read the body.
  const sending = sends ? pipeline(payload, request, { signal }) : Promise.resolve(request.end());
  sending.catch(() => undefined);
  const [answer] = await answered;
  // It may also fail while nothing is read of it.
  answer.on('error', () => undefined);
  return answer;
}

/** Where a response redirects to; undefined if it is the answer. */
function redirectOf({ statusCode = 0, headers: { location } }: IncomingMessage, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return undefined;
  const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (target?.protocol !== 'http:' && target?.protocol !== 'https:')
    throw new Error(`${from.href} redirects to something that is not an HTTP URL`);
  if (from.protocol === 'https:' && target.protocol === 'http:') throw new Error(`${from.href} redirects from https to http`);
  return target;
}

/** The request after a redirect. Credentials stay with the origin for which they were given. */
function following({ url, method, headers: given, body }: Fetch, target: URL, status: number, secret: ReadonlySet<string>): Fetch {
  const becomesGet = method !== 'HEAD' && (status === 303 || (method === 'POST' && (status === 301 || status === 302)));
  const sends = body && method !== 'GET' && method !== 'HEAD';
  if (sends && !becomesGet) throw new Error(`${url.href} redirects with status ${status}, and the payload cannot be sent a second time`);
  const kept = Object.entries(given).filter(([name]) => target.origin === url.origin || !secret.has(name.toLowerCase()));
  return { url: target, method: becomesGet ? 'GET' : method, headers: Object.fromEntries(kept), body: body && !becomesGet };
}

function shown({ headers: received }: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(received).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  );
}
