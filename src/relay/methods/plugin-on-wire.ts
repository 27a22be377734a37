/**
 * Plugins, their satellites and what happened to them, as they go out. Members are there whatever they are, so that a typed client finds
 * one type.
 */
import type { RelayEvent } from '../relay-events.ts';
import type { EmittedEvent } from '../../events/events.ts';
import { Double } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import type {
  DeadLetter,
  PluginHostStatus,
  PluginLine,
  PluginState,
  PluginStatus,
  SatelliteStatus,
} from '../../plugin-host/plugin-host.ts';

export type Struct = Readonly<Record<string, Sendable>>;

/** What a status tells of a plugin: no path of the machine. */
export function pluginOnWire({
  name,
  kind,
  state,
  version = '',
  restarts,
  held = 0,
  lastError = '',
  pid = 0,
  kept = { versions: 0, bytes: 0 },
  notReloaded = [],
  satellites,
}: PluginStatus): Struct {
  return {
    ...{ name, kind, state: state.type, reason: reasonOf(state), version, restarts, held, pid },
    waiting: satellites.reduce((sum, { waiting }) => sum + waiting, 0),
    last_error: lastError,
    ...{ ...keptOnWire(kept), not_reloaded: notReloaded },
  };
}

/** Bytes as a double: more than 2 GiB are conceivable, and i8 is an extension. */
export function keptOnWire({ versions, bytes }: PluginHostStatus['kept']): Struct {
  return { kept_versions: versions, kept_bytes: new Double(bytes) };
}

/** Why it is in this state; `''` if that needs no reason. */
function reasonOf(state: PluginState): string {
  return 'reason' in state ? state.reason : '';
}

export function satelliteOnWire(status: SatelliteStatus): Struct {
  const { name, state, waiting, bytes, oldestMs, delivered, failed, dropped, merged, refused } = status;
  return { ...{ name, state: state.type, waiting, bytes, oldest_ms: oldestMs }, ...{ delivered, failed, dropped, merged, refused } };
}

export function eventOnWire({ number, at, event }: EmittedEvent<RelayEvent>): Struct[] {
  if (event.type !== 'plugin.state') return [];
  const { plugin, state } = event;
  return [{ number, at, plugin, state: state.type, reason: reasonOf(state) }];
}

export function lineOnWire({ number, at, level, text }: PluginLine): Struct {
  return { number, at, level, text };
}

/** Without what stands in the message: who may see the plugins may not see the mail. `now`: by the relay's clock. */
export function letterOnWire({ id, satellite, message, deaths, reason, at }: DeadLetter, now: number): Struct {
  const age = { age_ms: Math.max(0, Math.round(now - at)), bytes: message.payload.length };
  return { id, plugin: satellite, host_id: message.hostId, deaths, reason, ...age };
}
