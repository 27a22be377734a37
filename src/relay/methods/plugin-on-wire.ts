/**
 * Plugins, satellites and their events as structs on the wire. Every member is always present, so that typed clients can rely on it.
 */
import type { RelayEvent } from '../relay-events.ts';
import type { EmittedEvent } from '../../events/events.ts';
import type { LogLine } from '../../core/core.ts';
import { Double } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import type { DeadLetter, PluginHostStatus, PluginState, PluginStatus, SatelliteStatus } from '../../plugin-host/plugin-host.ts';

/** A struct to send. */
export type Struct = Readonly<Record<string, Sendable>>;

/** The status of a plugin, without local paths. */
export function pluginOnWire({
  name,
  kind,
  state,
  version = '',
  restarts,
  held = 0,
  lastError = '',
  reloadError = '',
  pid = 0,
  kept = { versions: 0, bytes: 0 },
  notReloaded = [],
  satellites,
}: PluginStatus): Struct {
  return {
    ...{ name, kind, state: state.type, reason: reasonOf(state), version, restarts, held, pid },
    waiting: satellites.reduce((sum, { waiting }) => sum + waiting, 0),
    ...{ last_error: lastError, reload_error: reloadError },
    ...{ ...keptOnWire(kept), not_reloaded: notReloaded },
  };
}

/** The retained versions. Bytes are a double, since they may exceed 2 GiB, and i8 is an extension. */
export function keptOnWire({ versions, bytes }: PluginHostStatus['kept']): Struct {
  return { kept_versions: versions, kept_bytes: new Double(bytes) };
}

/** The reason for this state; `''` if it has none. */
function reasonOf(state: PluginState): string {
  return 'reason' in state ? state.reason : '';
}

/** The status of a satellite. */
export function satelliteOnWire(status: SatelliteStatus): Struct {
  const { name, state, waiting, bytes, oldestMs, delivered, failed, dropped, merged, refused, durable } = status;
  // What is stored may exceed 2 GiB, and an i8 is an extension.
  const queue = { waiting, bytes: bytes < 2 ** 31 ? bytes : new Double(bytes), oldest_ms: oldestMs };
  return { ...{ name, state: state.type, durable }, ...queue, ...{ delivered, failed, dropped, merged, refused } };
}

/** What is kept for a durable satellite that is not there any more. Bytes and ms are doubles, since they may exceed an int. */
export function keptMessagesOnWire({ satellite, waiting, bytes, dropInMs }: PluginHostStatus['keptMessages'][number]): Struct {
  return { satellite, waiting, bytes: new Double(bytes), drop_in_ms: new Double(dropInMs) };
}

/** A change of a plugin's state; no struct for other events. */
export function eventOnWire({ number, at, event }: EmittedEvent<RelayEvent>): Struct[] {
  if (event.type !== 'plugin.state') return [];
  const { plugin, state } = event;
  return [{ number, at, plugin, state: state.type, reason: reasonOf(state) }];
}

/** A line of a plugin's log. */
export function lineOnWire({ number, at, level, text }: LogLine): Struct {
  return { number, at, level, text };
}

/** A dead letter without the message, since a caller that may see plugins may not read messages. `now` is by the clock of the relay. */
export function letterOnWire({ id, satellite, message, deaths, reason, at }: DeadLetter, now: number): Struct {
  const age = { age_ms: Math.max(0, Math.round(now - at)), bytes: message.payload.length };
  return { id, plugin: satellite, host_id: message.hostId, deaths, reason, ...age };
}
