/** Everything that a relay reports as an event; each part declares its own. */
import type { LinkEvent } from '../links/links.ts';
import type { PeerEvent } from '../mesh/mesh.ts';
import type { HostEvent } from '../plugin-host/plugin-host.ts';
import type { RemoteSatelliteEvent } from '../satellites/satellites.ts';
import type { MessageEvent } from './message-events.ts';
import type { RecordingEvent } from './recording-events.ts';
import type { StoreEvent } from '../store/store.ts';
import type { WorkEvent } from './work-events.ts';

export type RelayEvent = HostEvent | LinkEvent | MessageEvent | PeerEvent | RecordingEvent | RemoteSatelliteEvent | StoreEvent | WorkEvent;
