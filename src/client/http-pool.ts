/** The three parts of undici that a client uses. The whole package takes three times as long to load and 8 MB more. */
import type { Dispatcher, Pool, buildConnector } from 'undici';

/** A pool of connections, how they are made, and one request. */
export interface HttpPool {
  readonly Pool: typeof Pool;
  readonly buildConnector: typeof buildConnector;
  request(pool: Pool, options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>;
}

let loaded: Promise<HttpPool> | undefined;

/** Loads them on first use: a relay without peers does not need them. */
export function httpPool(): Promise<HttpPool> {
  return (loaded ??= load());
}

// The version is pinned, and its package has no `exports`, so these paths are as fixed as its names.
async function load(): Promise<HttpPool> {
  const { default: request } = await import('undici/lib/api/api-request.js');
  const { default: Pool } = await import('undici/lib/dispatcher/pool.js');
  const { default: buildConnector } = await import('undici/lib/core/connect.js');
  return { Pool, buildConnector, request: (pool, options) => request.call(pool, options) };
}
