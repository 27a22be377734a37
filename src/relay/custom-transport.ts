/** Links to peers that the transport of a relay plugin reaches. */
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { CarrierTransport } from '../links/links.ts';
import type { LinkEvent, LinkOptions, LinkTransport, ServerAddress } from '../links/links.ts';
import type { Receive } from '../plugin/plugin.ts';
import type { RelayPlugins } from '../plugin-host/plugin-host.ts';
import type { CustomEndpoint } from './custom-endpoint.ts';

/** What the transport of a relay plugin depends on. */
export interface CustomTransportParts {
  readonly options: Pick<LinkOptions, 'retry'> & { readonly peerTimeoutMs: number };
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: EventSink<LinkEvent>;
  readonly log: Log;
  readonly relayPlugins: RelayPlugins;
  readonly endpoint: () => CustomEndpoint;
  readonly self: () => { readonly hostId: string };
}

/** Reaches a peer by the transport of a relay plugin. */
export function customTransport(
  { name, url, port, addresses }: ServerAddress,
  nonFinite: boolean,
  parts: CustomTransportParts,
): LinkTransport {
  const { options, relayPlugins, endpoint, self, ...common } = parts;
  const [address = ''] = addresses;
  // The endpoint is made after the links.
  let receive: Receive | undefined;
  return new CarrierTransport({
    ...{ ...common, role: 'peer', name, url, retry: options.retry, timeoutMs: options.peerTimeoutMs },
    self: () => self().hostId,
    make: () => relayPlugins.carrier(url),
    receive: (document) => (receive ??= endpoint().receiver({ address, port, nonFinite }))(document),
  });
}
