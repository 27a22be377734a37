/** Plugins, their satellites and what happened to them, as they go out. Members are there whatever they are, so that a typed client finds one type. */
import type { Sendable } from '../message/message.ts';
import type { DeadLetter, NumberedEvent, PluginLine, PluginState, PluginStatus, SatelliteStatus } from '../plugin-host/plugin-host.ts';

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
  satellites,
}: PluginStatus): Struct {
  return {
    ...{ name, kind, state: state.type, reason: reasonOf(state), version, restarts, held, pid },
    waiting: satellites.reduce((sum, { waiting }) => sum + waiting, 0),
    last_error: lastError,
  };
}

/** Why it is in this state; `''` if that needs no reason. */
function reasonOf(state: PluginState): string {
  return 'reason' in state ? state.reason : '';
}

export function satelliteOnWire(status: SatelliteStatus): Struct {
  const { name, state, waiting, bytes, oldestMs, delivered, failed, dropped, merged, refused } = status;
  return { ...{ name, state: state.type, waiting, bytes, oldest_ms: oldestMs }, ...{ delivered, failed, dropped, merged, refused } };
}

export function eventOnWire({ number, at, plugin, state }: NumberedEvent): Struct {
  return { number, at, plugin, state: state.type, reason: reasonOf(state) };
}

export function lineOnWire({ number, at, level, text }: PluginLine): Struct {
  return { number, at, level, text };
}

/** Without what stands in the message: who may see the plugins may not see the mail. `now`: by the relay's clock. */
export function letterOnWire({ id, satellite, message, deaths, reason, at }: DeadLetter, now: number): Struct {
  const age = { age_ms: Math.max(0, Math.round(now - at)), bytes: message.source.length };
  return { id, plugin: satellite, host_id: message.hostId, deaths, reason, ...age };
}
