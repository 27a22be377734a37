/** Watchers that run at one node of the mesh for a service of another. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { nodeOf } from '../access/access.ts';
import { RelayError, clean, reasonOf, runStep } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { NodeCalls } from '../nodes/nodes.ts';
import { moduleOf } from '../plugin-host/plugin-host.ts';
import type { HostedEndpointType, HostedWatcher } from '../plugin-host/plugin-host.ts';
import { onlyMembers, wrongParams } from '../rpc/rpc.ts';
import type { Method } from '../rpc/rpc.ts';
import { dictOf, isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { findType } from './find-type.ts';
import type { EndpointRecord } from './options.ts';
import { readReport } from './report.ts';
import type { Report } from './report.ts';

export interface WatchMethodParts {
  /** What the plugins of this relay offer now. */
  readonly offered: () => readonly HostedEndpointType[];
  /** Watchers that other nodes may run here. */
  readonly shared: readonly string[];
  /** ms within which a plugin accepts an endpoint. */
  readonly acceptTimeoutMs: number;
  readonly clock: Clock;
}

const METHOD = 'service.watch';
// The other node learns within this time that the watcher still runs, and that it does not within the second.
const BEAT_MS = 10_000;
const SILENCE_MS = 30_000;
// Each keeps a plugin busy and a call open.
const MAX_WATCHERS = 100;

/** A watcher of another node as a type that a service can run. Whether that node has it is known once it runs. */
export function watcherAt(node: string, { type }: EndpointRecord, calls: Pick<NodeCalls, 'stream'>): HostedEndpointType {
  return {
    ...{ role: 'watcher', type, help: '', isReady: true },
    accept: ({ service, name, config }) => {
      const watcher: HostedWatcher = {
        role: 'watcher',
        gone: new AbortController().signal,
        watch: (signal) =>
          reportsOf(calls.stream(node, METHOD, [{ type, service, name, cfg: config }], { timeoutMs: SILENCE_MS, signal }), node),
      };
      return Promise.resolve(watcher);
    },
  };
}

async function* reportsOf(items: AsyncIterable<Value>, node: string): AsyncGenerator<unknown, void> {
  try {
    for await (const item of items) if (isDict(item) && item.report !== undefined) yield item.report;
  } catch (error) {
    throw new RelayError('UNAVAILABLE', `node ${clean(node, 100)}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The method by which another node runs a watcher here: a stream of `{}`, when it is accepted and while it runs, and `{report}`. */
export function watchMethod({ offered, shared, acceptTimeoutMs, clock }: WatchMethodParts): Method {
  let running = 0;
  return {
    name: METHOD,
    access: 'call',
    help: 'For nodes of the mesh: runs a watcher for a service of the calling node, and streams what it reports. sharedWatchers lists which may be run.',
    signatures: [['struct', 'struct']],
    invoke: () => {
      throw new RelayError(
        'INVALID_PARAMS',
        `${METHOD} is a stream, which nodes of the mesh read; a service names a watcher by node and type`,
      );
    },
    async *stream(params, caller) {
      const { type, service, name, cfg = dictOf() } = onlyMembers(METHOD, params, ['type', 'service', 'name', 'cfg']);
      const node = nodeOf(caller);
      if (node === undefined) throw new RelayError('FORBIDDEN', `${METHOD} is for nodes of the mesh`);
      if (typeof type !== 'string' || typeof service !== 'string' || typeof name !== 'string' || !isDict(cfg))
        throw wrongParams(`${METHOD} takes {type, service, name, cfg}`);
      const found = requireShared(offered(), type, shared);
      if (running >= MAX_WATCHERS) throw new RelayError('LIMIT', `${MAX_WATCHERS} watchers run for other nodes already`);
      running++;
      try {
        const order = { service, name, config: Object.fromEntries(Object.entries(cfg)) };
        const late = `${type} did not accept its configuration in ${acceptTimeoutMs} ms (serviceLimits.acceptTimeoutMs)`;
        const signal = caller.gone;
        const endpoint = await runStep({ clock, timeoutMs: acceptTimeoutMs, signal }, late, () => found.accept(order));
        yield {};
        if (endpoint.role === 'watcher') yield* watched(endpoint, signal, clock);
      } finally {
        running--;
      }
    },
  };
}

/** Throws a RelayError FORBIDDEN for a watcher that is not shared, and UNAVAILABLE if there is none now. */
function requireShared(offered: readonly HostedEndpointType[], type: string, shared: readonly string[]): HostedEndpointType {
  const found = findType(offered, 'watcher', type);
  const names = 'reason' in found ? [type] : [found.type, moduleOf(found.type)];
  if (!names.some((name) => shared.includes(name)))
    throw new RelayError(
      'FORBIDDEN',
      `the watcher '${clean(type, 100)}' is not shared with other nodes; the operator adds it to sharedWatchers`,
    );
  if ('reason' in found) throw new RelayError('UNAVAILABLE', found.reason);
  if (!found.isReady) throw new RelayError('UNAVAILABLE', `the plugin of ${found.type} does not run`);
  return found;
}

/** What a watcher reports, and `{}` from time to time. */
async function* watched(endpoint: HostedWatcher, gone: AbortSignal | undefined, clock: Clock): AsyncGenerator<Sendable, void> {
  const stopping = new AbortController();
  const ending = AbortSignal.any([stopping.signal, endpoint.gone, ...(gone ? [gone] : [])]);
  const reports = endpoint.watch(ending)[Symbol.asyncIterator]();
  try {
    for (let next = reports.next(); ;) {
      const result = await first(next, ending, clock);
      if (ending.aborted) throw ending.reason;
      if (result === undefined) yield {};
      else if (result.done === true) return;
      else {
        yield { report: reportOnWire(readReport(result.value)) };
        next = reports.next();
        // One that always has more to report must not keep everything else from running.
        await nextTurn();
      }
    }
  } finally {
    stopping.abort(new RelayError('UNAVAILABLE', 'the other node does not watch any more'));
    void Promise.resolve(reports.return?.(undefined)).catch(() => undefined);
  }
}

/** The result of `next`; undefined if it takes long, or the watcher is to end. */
async function first<T>(next: Promise<T>, ending: AbortSignal, clock: Clock): Promise<T | undefined> {
  let end = (): void => undefined;
  const pause = new Promise<undefined>((resolve) => {
    const cancelTimer = clock.after(BEAT_MS, () => {
      resolve(undefined);
    });
    const abort = (): void => {
      resolve(undefined);
    };
    ending.addEventListener('abort', abort);
    if (ending.aborted) abort();
    end = () => {
      cancelTimer();
      ending.removeEventListener('abort', abort);
    };
  });
  next.catch(() => undefined);
  try {
    return await Promise.race([next, pause]);
  } finally {
    end();
  }
}

function reportOnWire({ isFull, nodes }: Report): Sendable {
  const structs = nodes.map(({ name, status, host, port }) => ({
    ...{ name, status },
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
  }));
  return isFull ? structs : Object.fromEntries(structs.map((node) => [node.name, node]));
}
