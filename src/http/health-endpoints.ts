/** What monitoring systems ask: `GET /healthz`, `GET /readyz` and `GET /metrics`. Each needs the right `read`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { clean } from '../core/core.ts';
import { READINESS_PARTS } from '../relay/relay.ts';
import type { NotReady, ReadinessPart } from '../relay/relay.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import type { Endpoint } from './endpoint.ts';
import { failPage, wantedForm } from './page-endpoint.ts';
import { reject } from './rejection.ts';

/** What the endpoints report of a relay. */
export interface Health {
  /** Why it is not ready; empty if it is. */
  notReady(): readonly NotReady[];
  /** The metrics in the text format of Prometheus. */
  metrics(): Promise<string>;
  /** The media type of {@link metrics}. */
  readonly metricsType: string;
}

export interface HealthEndpointParts {
  readonly dispatcher: Pick<Dispatcher, 'may' | 'count' | 'requireRead'>;
  readonly health: Health;
}

/** Rows for the endpoint table. */
export function healthEndpoints(parts: HealthEndpointParts): readonly Endpoint[] {
  const { health } = parts;
  return [
    // A relay that starts is alive: restarting it would not help.
    { ...row('/healthz', parts, (_request, reply) => sendText(reply, 'ok\n')), answersAlways: true },
    row('/readyz', parts, (request, reply) => answerReadiness(parts, request, reply)),
    row('/metrics', parts, async (_request, reply) => reply.type(health.metricsType).send(await health.metrics())),
  ];
}

type Answer = (request: FastifyRequest, reply: FastifyReply) => FastifyReply | Promise<FastifyReply>;

function row(path: string, { dispatcher }: HealthEndpointParts, answer: Answer): Endpoint {
  return {
    ...{ path, reads: [], fail: (_request, reply, error) => failPage(reply, error) },
    get: (request, reply) => {
      try {
        dispatcher.count(request.principal);
        // A token may be limited to it by its name without the slash.
        dispatcher.requireRead(path.slice(1), request.principal);
      } catch (error) {
        return failPage(reply, error);
      }
      reply.headers({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
      return answer(request, reply);
    },
  };
}

/** 200 if the relay is ready and 503 if it is not, with the reasons. `?exclude=peers` ignores the reasons of one part. */
function answerReadiness({ dispatcher, health }: HealthEndpointParts, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const [, query = ''] = request.url.split('?', 2);
  const excluded = new URLSearchParams(query).getAll('exclude');
  const unknown = excluded.find((part) => !READINESS_PARTS.includes(part as ReadinessPart));
  if (unknown !== undefined) {
    const text = `there is no part '${clean(unknown, 50)}' to exclude; the parts are ${READINESS_PARTS.join(' and ')}`;
    return reject(reply, { status: 400, text }, undefined);
  }
  // The right to see a state does not include the reason, which may name paths and addresses.
  const sees = {
    plugins: dispatcher.may('plugin.list', request.principal),
    peers: dispatcher.may('relay.get_peers', request.principal),
  };
  const reasons = health
    .notReady()
    .filter(({ part }) => !excluded.includes(part))
    .map(({ reason, ...about }) => (sees[about.part] && reason !== undefined ? { ...about, reason } : about));
  const isReady = reasons.length === 0;
  reply.code(isReady ? 200 : 503).header('vary', 'Accept');
  if (wantedForm(request.headers.accept) === 'json')
    return reply.type('application/json; charset=utf-8').send(JSON.stringify({ ready: isReady, reasons }));
  return sendText(reply, [isReady ? 'ready' : 'not ready', ...reasons.map(lineOf), ''].join('\n'));
}

/** `plugin ham.spam: failed (it threw)` */
function lineOf({ part, name, state, reason }: Omit<NotReady, 'reason'> & { readonly reason?: string }): string {
  return clean(`${part === 'plugins' ? 'plugin' : 'peer'} ${name}: ${state}${reason === undefined ? '' : ` (${reason})`}`, 500);
}

function sendText(reply: FastifyReply, text: string): FastifyReply {
  return reply.type('text/plain; charset=utf-8').send(text);
}
