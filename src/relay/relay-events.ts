/** Everything that a relay reports as an event; each part declares its own. */
import type { HostEvent } from '../plugin-host/plugin-host.ts';
import type { MessageEvent } from './message-events.ts';

export type RelayEvent = HostEvent | MessageEvent;
