/** `GET /` and `GET /RPC2`: what this relay is and what can be called here. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError } from '../message/message.ts';
import { recordOnWire } from '../relay/relay.ts';
import type { Relay, Standing } from '../relay/relay.ts';
import { jsonPage, textPage } from './pages.ts';
import type { PageContent } from './pages.ts';
import { refuse, setRemedies, statusOf } from './refusal.ts';

export interface PageDoorParts {
  readonly relay: Pick<Relay, 'may' | 'count' | 'properties' | 'describeMethods' | 'satellites'>;
  readonly scheme: 'http' | 'https';
}

/** Answers text, or JSON to whom wants that. A page counts like a call. */
export function answerPage({ relay, scheme }: PageDoorParts, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  relay.count(request.standing);
  const content = visibleTo(request.standing, relay);
  if (Object.keys(content).length === 0)
    return refuse(reply, { status: 403, text: 'you may not read what this relay is; present a token' }, undefined);
  reply.header('x-content-type-options', 'nosniff');
  if (wantsJson(request)) return reply.send(jsonPage(content));
  return reply.type('text/plain; charset=utf-8').send(textPage(content, `${scheme}://${request.headers.host ?? request.hostname}/`));
}

/** Answers `error` as a line of text. */
export function failPage(reply: FastifyReply, error: unknown): FastifyReply {
  if (!RelayError.is(error)) throw error;
  setRemedies(reply, error);
  return refuse(reply, { status: statusOf(error), text: error.message }, undefined);
}

/** A page shows what the methods of the same content would answer its reader. */
function visibleTo(caller: Standing, relay: PageDoorParts['relay']): PageContent {
  return {
    ...(relay.may('system.get_properties', caller) && { properties: relay.properties() }),
    ...(relay.may('relay.get_satellites', caller) && { satellites: relay.satellites().map(recordOnWire) }),
    ...(relay.may('co2.get_method_names', caller) && { methods: relay.describeMethods() }),
  };
}

function wantsJson(request: FastifyRequest): boolean {
  return /\bapplication\/json\b/i.test((request.headers.accept ?? '').slice(0, 500));
}
