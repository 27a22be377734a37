/** `GET /` and `GET /RPC2`: what this relay is and what can be called here. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, clean, suggest } from '../core/core.ts';
import { recordOnWire } from '../relay/relay.ts';
import type { MethodDescription, Relay } from '../relay/relay.ts';
import type { Principal } from '../access/access.ts';
import { wantedForm } from './accept.ts';
import type { Refusal } from './guard.ts';
import { HTML_HEADERS, htmlMethod, htmlPage } from './html-page.ts';
import { jsonPage, textMethod, textPage } from './pages.ts';
import type { PageContent, PagePlace } from './pages.ts';
import { refuse, setRemedies, statusOf } from './rejection.ts';

export interface PageDoorParts {
  readonly relay: Pick<Relay, 'may' | 'count' | 'properties' | 'describeMethods' | 'satellites' | 'plugins'>;
  readonly scheme: 'http' | 'https';
}

/** Answers text, HTML or JSON, whichever is wanted; of all methods, or of the one that `?method=` names. A page counts like a call. */
export function answerPage({ relay, scheme }: PageDoorParts, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  relay.count(request.standing);
  const content = visibleTo(request.standing, relay);
  if (Object.keys(content).length === 0)
    return refuse(reply, { status: 403, text: 'you may not read what this relay is; present a token' }, undefined);
  const [path = '', query = ''] = request.url.split('?', 2);
  const place = { origin: originOf(scheme, request), showsCalls: path !== '/' };
  // It depends on who asks, and is out of date at once.
  reply.headers({ 'x-content-type-options': 'nosniff', vary: 'Accept', 'cache-control': 'no-store' });
  const names = new URLSearchParams(query).getAll('method');
  if (names.length === 0) return sendPage(request, reply, content, place);
  const method = findMethod(names, content.methods);
  return 'status' in method ? refuse(reply, method, undefined) : sendMethod(request, reply, method, place);
}

/** Answers `error` as a line of text. */
export function failPage(reply: FastifyReply, error: unknown): FastifyReply {
  if (!RelayError.is(error)) throw error;
  setRemedies(reply, error);
  return refuse(reply, { status: statusOf(error), text: error.message }, undefined);
}

/** A page shows what the methods of the same content would answer its reader. */
function visibleTo(caller: Principal, relay: PageDoorParts['relay']): PageContent {
  return {
    ...(relay.may('system.get_properties', caller) && { properties: relay.properties() }),
    ...(relay.may('relay.get_satellites', caller) && { satellites: relay.satellites().map(recordOnWire) }),
    ...(relay.may('plugin.list', caller) && { plugins: relay.plugins() }),
    ...(relay.may('co2.get_method_names', caller) && { methods: relay.describeMethods() }),
  };
}

function findMethod(names: readonly string[], methods: PageContent['methods']): MethodDescription | Refusal {
  const [name = ''] = names;
  if (!methods) return { status: 403, text: 'you may not read which methods there are; present a token' };
  if (names.length > 1) return { status: 400, text: 'method stands twice in the query; name one' };
  const method = methods.find((one) => one.name === name);
  if (method) return method;
  const known = methods.map((one) => one.name);
  return { status: 404, text: `no method is named '${clean(name, 100)}'${suggest(name, known)}` };
}

function sendPage(request: FastifyRequest, reply: FastifyReply, content: PageContent, place: PagePlace): FastifyReply {
  const form = wantedForm(request.headers.accept);
  if (form === 'html') return sendHtml(reply, htmlPage(content, place));
  return form === 'json' ? sendJson(reply, jsonPage(content, place)) : sendText(reply, textPage(content, place));
}

function sendMethod(request: FastifyRequest, reply: FastifyReply, method: MethodDescription, place: PagePlace): FastifyReply {
  const form = wantedForm(request.headers.accept);
  if (form === 'html') return sendHtml(reply, htmlMethod(method, place));
  return form === 'json' ? sendJson(reply, jsonPage({ methods: [method] }, place)) : sendText(reply, textMethod(method, place));
}

function sendHtml(reply: FastifyReply, page: string): FastifyReply {
  return reply.headers(HTML_HEADERS).type('text/html; charset=utf-8').send(page);
}

function sendJson(reply: FastifyReply, page: string): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(page);
}

function sendText(reply: FastifyReply, page: string): FastifyReply {
  return reply.type('text/plain; charset=utf-8').send(page);
}

/** Where the reader found us, as a URL that has one reading; HTTP/1.0 does not say. */
function originOf(scheme: 'http' | 'https', { headers, hostname }: FastifyRequest): string {
  const url = `${scheme}://${headers.host ?? hostname}`;
  return URL.canParse(url) ? new URL(url).origin : `${scheme}://localhost`;
}
