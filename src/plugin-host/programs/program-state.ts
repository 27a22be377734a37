/** The state of a program as others see it, and in words. Pure. */
import { clean } from '../../core/core.ts';
import type { PluginState, SatelliteState } from '../hosted/hosted.ts';
import type { Supervised } from './supervision.ts';

/** Of the plugin. */
export function pluginState(state: Supervised): PluginState {
  switch (state.kind) {
    case 'up':
      if (state.missed > 0) return { type: 'unresponsive', missed: state.missed };
      return { type: state.isBusy ? 'busy' : 'ready' };
    case 'backoff':
      return { type: 'backoff', attempt: state.history.deaths, until: state.until };
    case 'failed':
      return { type: 'failed', reason: state.reason };
    default:
      return { type: state.kind };
  }
}

/** Of its satellite. */
export function satelliteState(state: Supervised): SatelliteState {
  switch (state.kind) {
    case 'up':
      return { type: 'running' };
    case 'starting':
    case 'backoff':
      return { type: 'setting-up' };
    case 'stopping':
      return { type: 'exiting' };
    case 'failed':
      return { type: 'exited', reason: state.reason };
    case 'stopped':
      return { type: 'exited' };
  }
}

/** Why a call cannot be made now, at `now` of the same clock: `is starting`, `is started again in 3 s: it ended with code 1`. */
export function inWords(state: Supervised, now: number): string {
  switch (state.kind) {
    case 'starting':
      return 'is starting';
    case 'stopping':
      return 'is stopping';
    case 'backoff':
      return `is started again in ${Math.ceil(Math.max(0, state.until - now) / 1000)} s: ${clean(state.reason)}`;
    case 'failed':
      return `has failed and is not started again by itself: ${clean(state.reason)}`;
    case 'stopped':
      return 'has been stopped';
    case 'up':
      return 'is ready';
  }
}
