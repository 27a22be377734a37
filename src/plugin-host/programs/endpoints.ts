/** The watchers and reactors of a process: it accepts, opens and closes them when it is called, and pushes the reports of its watchers. */
import { randomBytes } from 'node:crypto';
import { RelayError } from '../../core/core.ts';
import type { MaybePromise } from '../../core/core.ts';
import type { ServiceEvent } from '../../plugin/internal.ts';
import type { Sendable } from '../../values/values.ts';
import type { HostedEndpoint, HostedEndpointType } from '../hosted/hosted.ts';
import type { DescribedEndpoint } from './description.ts';
import type { ItemStreams } from './item-streams.ts';

/** What an endpoint needs of its process. */
export interface EndpointPort {
  readonly isUp: () => boolean;
  /** Aborted when the current process ends. */
  readonly gone: () => AbortSignal;
  readonly call: (method: string, params: readonly Sendable[]) => MaybePromise<Sendable>;
  readonly streams: ItemStreams;
}

// A call costs more than a change, and what is in a call is no longer merged.
const MAX_BATCH = 100;

/** The endpoint of this description, at the process behind the port. */
export function programEndpoint(described: DescribedEndpoint, port: EndpointPort): HostedEndpointType {
  const { role, type } = described;
  return {
    ...described,
    isReady: port.isUp(),
    accept: async ({ service, name, config }) => {
      const id = randomBytes(12).toString('hex');
      // Of the process that accepts it.
      const gone = port.gone();
      const answer = await port.call('plugin.accept', [type, { endpoint: id, service, name, config }]);
      if (answer === false) throw new RelayError('APPLICATION', 'plugin.accept answered false');
      return role === 'watcher' ? watcherAt(id, gone, port) : reactorAt(id, gone, port);
    },
  };
}

function watcherAt(id: string, gone: AbortSignal, port: EndpointPort): HostedEndpoint {
  async function* watch(signal: AbortSignal): AsyncGenerator<Sendable, void, undefined> {
    const stream = port.streams.open();
    try {
      await port.call('plugin.open', [id, { stream: stream.id }]);
      yield* stream.items(signal);
    } finally {
      port.streams.close(stream);
      void close(id, gone, port);
    }
  }
  return { role: 'watcher', gone, watch };
}

function reactorAt(id: string, gone: AbortSignal, port: EndpointPort): HostedEndpoint {
  return {
    ...{ role: 'reactor', gone, maxBatch: MAX_BATCH },
    open: () => port.call('plugin.open', [id, {}]),
    react: (changes: readonly ServiceEvent[]) => port.call('plugin.event', [id, changes as unknown as Sendable]),
    close: () => close(id, gone, port),
  };
}

/** A process that has ended, or does not know the method, has nothing to close. Never rejects. */
async function close(id: string, gone: AbortSignal, port: EndpointPort): Promise<void> {
  if (gone.aborted || !port.isUp()) return;
  try {
    await port.call('plugin.close', [id]);
  } catch {
    // It ended meanwhile, or answered with a fault.
  }
}
