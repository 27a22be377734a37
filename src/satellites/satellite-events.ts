/** The events of remote satellites, and their log lines. */
import { clean } from '../core/core.ts';
import type { Log } from '../core/core.ts';

interface RemoteSatellite {
  /** Address and port: `192.0.2.7:5000`. */
  readonly satellite: string;
}

/** A change of a registration. */
export type RemoteSatelliteEvent =
  | (RemoteSatellite & { readonly type: 'satellite.registered'; readonly hostId: string; readonly nick: string })
  /** It unregistered. */
  | (RemoteSatellite & { readonly type: 'satellite.left' })
  /** It stopped answering, or its token became invalid. */
  | (RemoteSatellite & { readonly type: 'satellite.expired'; readonly reason: string });

/** Logs an event. */
export function logSatelliteEvents(event: RemoteSatelliteEvent, log: Pick<Log, 'info' | 'warn'>): void {
  const name = `satellite ${event.satellite}`;
  if (event.type === 'satellite.registered') log.info(`registered ${name}, ${clean(event.nick)}`);
  else if (event.type === 'satellite.left') log.info(`unregistered ${name}`);
  else log.warn(`dropped ${name}: ${clean(event.reason)}; it may register again`);
}
