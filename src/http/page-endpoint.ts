/** `GET /` and `GET /RPC2`: a page about this relay and its methods, in the form that the Accept header asks for. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, clean, suggest } from '../core/core.ts';
import { describeMethods } from '../rpc/rpc.ts';
import type { Dispatcher, MethodDescription } from '../rpc/rpc.ts';
import type { Principal } from '../access/access.ts';
import type { Rejection } from './rejection.ts';
import { HTML_HEADERS, htmlMethod, htmlPage } from './html-page.ts';
import { jsonPage, textMethod, textPage } from './pages.ts';
import type { PageContent, PagePlace } from './pages.ts';
import { reject, setRemedies, statusOf } from './rejection.ts';

/** What pages show of a relay besides its methods. */
export interface AboutRelay {
  properties(): NonNullable<PageContent['properties']>;
  /** The remote ones. */
  satellites(): NonNullable<PageContent['satellites']>;
  plugins(): NonNullable<PageContent['plugins']>;
  overview(): NonNullable<PageContent['overview']>;
  /** Those of the mesh, this relay included. */
  nodes(): NonNullable<PageContent['nodes']>;
}

export interface PageEndpointParts {
  readonly dispatcher: Pick<Dispatcher, 'may' | 'count' | 'registry' | 'requireRead'>;
  readonly about: AboutRelay;
  readonly scheme: 'http' | 'https';
}

/**
 * Answers text, HTML or JSON, about all methods or the one in `?method=`, or with `?part=state` only the states of the parts. A page counts
 * as a call for the rate limit.
 */
export function answerPage(parts: PageEndpointParts, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const [path = '', query = ''] = request.url.split('?', 2);
  const asked = new URLSearchParams(query);
  const names = asked.getAll('method');
  parts.dispatcher.count(request.principal);
  // The script of the page asks for the states every few seconds, and the list of methods is most of a page.
  const isStateOnly = names.length === 0 && asked.get('part') === 'state';
  const content: PageContent = { ...statesFor(request.principal, parts), ...(!isStateOnly && textsFor(request.principal, parts)) };
  if (Object.keys(content).length === 0) return reject(reply, { status: 403, text: 'reading about this relay needs a token' }, undefined);
  const place = { origin: originOf(parts.scheme, request), showsCalls: path !== '/' };
  // The page depends on its reader and changes at any time.
  reply.headers({ 'x-content-type-options': 'nosniff', vary: 'Accept', 'cache-control': 'no-store' });
  if (names.length === 0) return sendPage(request, reply, withOverview(content, request.principal, parts), place);
  const method = findMethod(names, content.methods);
  return 'status' in method ? reject(reply, method, undefined) : sendMethod(request, reply, method, place);
}

/** Answers an error as one line of text. */
export function failPage(reply: FastifyReply, error: unknown): FastifyReply {
  if (!RelayError.is(error)) throw error;
  setRemedies(reply, error);
  return reject(reply, { status: statusOf(error), text: error.message }, undefined);
}

/** A page shows only what its reader could get by calls. */
function textsFor(caller: Principal, { dispatcher, about }: PageEndpointParts): PageContent {
  return {
    ...(dispatcher.may('system.get_properties', caller) && { properties: about.properties() }),
    ...(dispatcher.may('co2.get_method_names', caller) && { methods: describeMethods(dispatcher.registry) }),
  };
}

function statesFor(caller: Principal, { dispatcher, about }: PageEndpointParts): PageContent {
  return {
    ...(dispatcher.may('relay.get_satellites', caller) && { satellites: about.satellites() }),
    ...(dispatcher.may('plugin.list', caller) && { plugins: about.plugins() }),
    ...(dispatcher.may('relay.get_nodes', caller) && { nodes: nodesFor(caller, { dispatcher, about }) }),
  };
}

function nodesFor(caller: Principal, { dispatcher, about }: Pick<PageEndpointParts, 'dispatcher' | 'about'>): PageContent['nodes'] {
  const nodes = about.nodes();
  return dispatcher.may('outbox.list', caller) ? nodes : nodes.map((node) => ({ ...node, waiting: undefined }));
}

function findMethod(names: readonly string[], methods: PageContent['methods']): MethodDescription | Rejection {
  const [name = ''] = names;
  if (!methods) return { status: 403, text: 'reading the list of methods needs a token' };
  if (names.length > 1) return { status: 400, text: 'the query has two method parameters; send one' };
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

/** The states in `content`, for callers who may ask for `/readyz`, which names the same. */
function withOverview(content: PageContent, caller: Principal, { dispatcher, about }: PageEndpointParts): PageContent {
  try {
    dispatcher.requireRead('readyz', caller);
    return { ...content, overview: about.overview() };
  } catch (error) {
    if (RelayError.is(error)) return content;
    throw error;
  }
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

/** The origin that the reader used, normalized; a request of HTTP/1.0 may not name it. */
function originOf(scheme: 'http' | 'https', { headers, hostname }: FastifyRequest): string {
  const url = `${scheme}://${headers.host ?? hostname}`;
  return URL.canParse(url) ? new URL(url).origin : `${scheme}://localhost`;
}

/** The forms of a page; the first is the default, for curl among others. */
export type PageForm = 'text' | 'html' | 'json';

const OFFERED: readonly (readonly [form: PageForm, type: string])[] = [
  ['text', 'text/plain'],
  ['html', 'text/html'],
  ['json', 'application/json'],
];
// A browser names about ten; further ones are ignored.
const MAX_RANGES = 50;
const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

interface Range {
  readonly type: string;
  readonly weight: number;
  /** 2 for a type, 1 for `text/*`, 0 for all. */
  readonly exactness: number;
  /** Its index in the header. */
  readonly place: number;
}

/** The form of the highest weight; among equals the more exact one, then the earlier one. The default is text. */
export function wantedForm(accept: string | undefined): PageForm {
  const ranges = (accept ?? '').split(',', MAX_RANGES).map(readRange);
  let wanted: PageForm = 'text';
  let best: Range | undefined;
  for (const [form, type] of OFFERED) {
    const range = rangeFor(type, ranges);
    if (!range || range.weight === 0 || (best && !isBefore(range, best))) continue;
    wanted = form;
    best = range;
  }
  return wanted;
}

function readRange(text: string, place: number): Range {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  return {
    type,
    // An invalid weight counts as 0.
    weight: weight === undefined ? 1 : Number(WEIGHT.exec(weight)?.[1] ?? 0),
    exactness: type === '*/*' ? 0 : type.endsWith('/*') ? 1 : 2,
    place,
  };
}

/** The most exact range that covers `type`: it determines the weight. */
function rangeFor(type: string, ranges: readonly Range[]): Range | undefined {
  const covers = new Set([type, `${type.split('/', 1)[0] ?? ''}/*`, '*/*']);
  const covering = ranges.filter((range) => covers.has(range.type));
  return covering.sort((a, b) => b.exactness - a.exactness || b.weight - a.weight)[0];
}

function isBefore(a: Range, b: Range): boolean {
  if (a.weight !== b.weight) return a.weight > b.weight;
  return a.exactness === b.exactness ? a.place < b.place : a.exactness > b.exactness;
}
