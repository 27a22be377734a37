/** `GET /` and `GET /RPC2`: what this relay is and what can be called here. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError } from '../message/message.ts';
import { recordOnWire } from '../relay/relay.ts';
import type { Relay } from '../relay/relay.ts';
import { findCaller } from './find-caller.ts';
import type { CallerRules } from './find-caller.ts';
import { jsonPage, textPage } from './pages.ts';
import { refuse, setRemedies, statusOf } from './refusal.ts';

export interface PageDoorParts {
  readonly relay: Pick<Relay, 'count' | 'properties' | 'describeMethods' | 'satellites'>;
  readonly rules: CallerRules;
  readonly scheme: 'http' | 'https';
}

/** Answers text, or JSON to whom wants that. A page counts like a call. */
export function answerPage({ relay, rules, scheme }: PageDoorParts, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  try {
    relay.count(findCaller(request, rules, { sourceOf: () => undefined, requireWritable: () => undefined }));
  } catch (error) {
    if (!RelayError.is(error)) throw error;
    setRemedies(reply, error);
    return refuse(reply, { status: statusOf(error), text: error.message }, undefined);
  }
  const content = { properties: relay.properties(), methods: relay.describeMethods(), satellites: relay.satellites().map(recordOnWire) };
  if (wantsJson(request)) return reply.send(jsonPage(content));
  return reply.type('text/plain; charset=utf-8').send(textPage(content, `${scheme}://${request.headers.host ?? request.hostname}/`));
}

function wantsJson(request: FastifyRequest): boolean {
  return /\bapplication\/json\b/i.test((request.headers.accept ?? '').slice(0, 500));
}
