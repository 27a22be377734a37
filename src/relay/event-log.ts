/** Writes the log lines of events, which each part declares. */
import type { Clock, LogSource } from '../core/core.ts';
import type { EventStream } from '../events/events.ts';
import { LOGGED_LINK_EVENTS, linkLogger } from '../links/links.ts';
import { PEER_EVENTS, peerLogger } from '../mesh/mesh.ts';
import { LOGGED_HOST_EVENTS, hostLogger } from '../plugin-host/plugin-host.ts';
import { logSatelliteEvents } from '../satellites/satellites.ts';
import type { RelayEvent } from './relay-events.ts';

/** Logs the events of a relay from now on. */
export function logEvents(events: EventStream<RelayEvent>, logs: LogSource, clock: Clock): void {
  events.subscribe(linkLogger(logs, clock), LOGGED_LINK_EVENTS);
  const satelliteLog = logs('satellites');
  events.subscribe(
    (event) => {
      logSatelliteEvents(event, satelliteLog);
    },
    ['satellite.registered', 'satellite.left', 'satellite.expired'],
  );
  events.subscribe(peerLogger(logs, clock), PEER_EVENTS);
  events.subscribe(hostLogger(logs), LOGGED_HOST_EVENTS);
}
