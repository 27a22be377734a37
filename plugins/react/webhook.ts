/**
 * A reactor that sends each change to a URL, and again if that fails. It connects only to public addresses unless others are allowed, and
 * follows no redirects.
 */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Plugin, Reactor, Satellite, type EndpointContext, type ServiceEvent } from 'co2-relay';
import { z } from 'zod';
import { checkedLookup, isRange, listOf, requirePermitted } from '../task/_addresses.ts';

/** `plugins: { 'react.webhook': { allowAddresses: ['10.1.0.0/16'] } }` in config.ts. */
const globalSchema = z.strictObject({
  /** Ranges of addresses that may be connected to although they are not public. Default none. */
  allowAddresses: z.array(z.string().refine(isRange, 'expected a range such as 10.1.0.0/16')).max(1_000).default([]),
});
type Global = z.infer<typeof globalSchema>;

/** `reactors: { hook: { type: 'react.webhook', cfg: { url: 'https://example.org/hook' } } }` in config.ts. */
const configSchema = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).max(4_096),
  /** More headers, such as `authorization`. Default none. */
  headers: z
    .record(
      z.string().regex(/^[!#$%&'*+.^`|~\w-]{1,100}$/, 'expected the name of a header'),
      z
        .string()
        .max(8_192)
        .regex(/^[\t\x20-\x7e]*$/),
    )
    .default({}),
  /** ms for each attempt. Default 10,000. */
  timeoutMs: z.int().min(100).max(600_000).default(10_000),
  /** Further attempts after one that failed, after 0.5 s, 1 s, 2 s and so on. Then the reactor starts again, with all nodes. Default 3. */
  retries: z.int().min(0).max(20).default(3),
});
type Config = z.infer<typeof configSchema>;

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;

@Satellite({ config: globalSchema })
export class Webhook extends Plugin<Global> {
  #global: Global = { allowAddresses: [] };

  override setup(config: Global) {
    this.#global = config;
  }

  /** Sends {service, nodes} for each change as a JSON POST. */
  @Reactor({ config: configSchema })
  post(config: Config, { service, logger }: EndpointContext) {
    const allowed = listOf(this.#global.allowAddresses);
    const url = new URL(config.url);
    if (url.username !== '' || url.password !== '') throw new Error('cfg.url has a user or a password; send them as a header');
    // Addresses are not looked up.
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(literal) !== 0) requirePermitted(literal, allowed);
    const lookup = checkedLookup(allowed);
    const closing = new AbortController();
    const attempt = async (body: Buffer): Promise<void> => {
      const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(config.timeoutMs)]);
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const headers = { ...config.headers, 'content-type': 'application/json', 'content-length': body.length };
      const request = send(url, { method: 'POST', headers, agent: false, lookup, signal });
      const answered = once(request, 'response', { signal }) as Promise<[IncomingMessage]>;
      // Whatever goes wrong later is of no interest: the status decides.
      request.on('error', () => undefined);
      request.end(body);
      const [response] = await answered;
      const { statusCode = 0 } = response;
      response.on('error', () => undefined);
      response.destroy();
      if (statusCode < 200 || statusCode > 299) throw new Error(`it answered ${statusCode}`);
    };
    return {
      react: async (nodes: ServiceEvent) => {
        const body = Buffer.from(JSON.stringify({ service, nodes }));
        for (let failures = 0; ; failures++) {
          try {
            await attempt(body);
            return;
          } catch (error) {
            const reason = `${url.host}: ${(error as Error).message}`;
            if (failures >= config.retries || closing.signal.aborted) throw new Error(reason, { cause: error });
            logger.warn(`${reason}; it is sent again`);
          }
          await sleep(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures), undefined, { signal: closing.signal });
        }
      },
      close: () => {
        closing.abort();
      },
    };
  }
}
