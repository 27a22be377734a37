/** Everything that a relay reports as an event; each part declares its own. */
import type { LinkEvent } from '../links/links.ts';
import type { PeerEvent } from '../mesh/mesh.ts';
import type { HostEvent } from '../plugin-host/plugin-host.ts';
import type { RemoteSatelliteEvent } from '../satellites/satellites.ts';
import { MESSAGE_EVENTS } from './message-events.ts';
import type { MessageEvent } from './message-events.ts';
import type { RecordingEvent } from './recording-events.ts';
import { TRANSIENT_SERVICE_EVENTS } from './service-events.ts';
import type { ServiceLifeEvent } from './service-events.ts';
import type { StoreEvent } from '../store/store.ts';
import type { WorkEvent } from './work-events.ts';

export type RelayEvent =
  HostEvent | LinkEvent | MessageEvent | PeerEvent | RecordingEvent | RemoteSatelliteEvent | ServiceLifeEvent | StoreEvent | WorkEvent;

/** The types of events of the relay and the services that may occur once per message or report. They only reach current subscribers. */
export const TRANSIENT_RELAY_EVENTS = [...MESSAGE_EVENTS, ...TRANSIENT_SERVICE_EVENTS] as const;
