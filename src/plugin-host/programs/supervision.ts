/** The life cycle of a program's process as a pure state machine: it decides what happens next, and the supervisor does it. */
import { clean, nextDelay } from '../../core/core.ts';
import type { BackOff } from '../../core/core.ts';
import type { PluginState, Readiness, SatelliteState } from '../hosted/hosted.ts';

/** Earlier deaths of the process. */
interface History {
  /** Number of deaths since it was last stable; it determines the next back-off. */
  readonly deaths: number;
  /** Times of the automatic restarts within the last minute. */
  readonly restarts: readonly number[];
}

/** The state to enter after a stop. */
type Goal = { readonly to: 'stopped' } | { readonly to: 'starting' } | { readonly to: 'failed' | 'backoff'; readonly reason: string };

interface Up {
  readonly kind: 'up';
  readonly missed: number;
  readonly isBusy: boolean;
  readonly since: number;
  /** When the first missed ping since its last answer was excused because the relay itself had been paused; undefined if none was. */
  readonly excusedSince?: number | undefined;
  readonly history: History;
}

/**
 * Only `starting`, `up` and `stopping` have a process. `greeted`: its handshake was read. `isExtended`: its start timeout was restarted
 * once, because the relay was paused. `isBusy`: it was working when a ping was due. `rung`: the last step taken to end it.
 */
export type Supervised =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'starting'; readonly greeted: boolean; readonly isExtended?: boolean; readonly history: History }
  | Up
  | { readonly kind: 'stopping'; readonly rung: 'ask' | 'term' | 'kill'; readonly goal: Goal; readonly history: History }
  | { readonly kind: 'backoff'; readonly until: number; readonly reason: string; readonly history: History }
  | { readonly kind: 'failed'; readonly reason: string };

export type SupervisionEvent =
  | { readonly type: 'start' }
  | { readonly type: 'stop' }
  /** Its handshake was read. */
  | { readonly type: 'greeted' }
  /** It is set up and can be called. */
  | { readonly type: 'prepared' }
  /** It cannot run, because every start would fail in the same way. */
  | { readonly type: 'refused'; readonly reason: string }
  /** Its start failed, or it cannot be called any more; another start may succeed. */
  | { readonly type: 'broken'; readonly reason: string }
  /** The process could not be started. */
  | { readonly type: 'unstartable'; readonly reason: string }
  /** Its process ended. `isSpared`: a message caused it, so the program is not blamed. */
  | { readonly type: 'exited'; readonly reason: string; readonly isSpared: boolean }
  /** It answered a ping, or a call after it had been late or busy. */
  | { readonly type: 'answered' }
  /** It did not answer a ping or a call in time. `relayPaused`: the relay itself was paused for part of that time. */
  | { readonly type: 'missed'; readonly relayPaused: boolean }
  /** The call that asks it to stop failed. */
  | { readonly type: 'deaf' }
  /** The last `wait` has elapsed. `relayPaused`: as for `missed`. */
  | { readonly type: 'due'; readonly relayPaused: boolean };

/** A `wait` replaces the previous one; without `ms` it only cancels that. */
export type SupervisionEffect =
  | { readonly type: 'spawn' }
  | { readonly type: 'ask' }
  | { readonly type: 'term' }
  | { readonly type: 'kill' }
  | { readonly type: 'ping' }
  | { readonly type: 'wait'; readonly ms?: number }
  | { readonly type: 'alarm'; readonly reason: string };

export interface SupervisionRules {
  /** ms, monotonic. */
  readonly now: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** True if the program is working on a call. */
  readonly isWorking: boolean;
  /** Time of the last sign of life. */
  readonly lastSign: number;
  /** Timeout for the handshake, in ms. */
  readonly startTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** Number of consecutive missed pings after which it is stopped and restarted. */
  readonly maxTimeouts: number;
}

/** ms between the steps of a stop: a call of `plugin.stop`, SIGTERM, SIGKILL. */
export const RUNG_MS = 5_000;
// A program that was up for this long is stable, and its earlier deaths are forgotten.
const WELL_MS = 60_000;
// Pauses of the relay excuse missed pings for at most this long, so that a relay that pauses all the time still detects hanging programs.
const MAX_EXCUSED_MS = 60_000;
const MAX_RESTARTS = 5;
// Full jitter prevents programs that ended for a common reason from all restarting at the same moment.
const RESTART_DELAY: BackOff = { firstMs: 500, factor: 2, maxMs: 60_000, jitter: 1 };

const FRESH: History = { deaths: 0, restarts: [] };

type Step = readonly [Supervised, readonly SupervisionEffect[]];

/** Returns the next state and the effects to perform, in order. Events that do not apply to a state are ignored. */
export function step(state: Supervised, event: SupervisionEvent, rules: SupervisionRules): Step {
  switch (state.kind) {
    case 'stopped':
    case 'failed':
      return whileDown(state, event, rules);
    case 'backoff':
      return whileBackingOff(state, event, rules);
    case 'starting':
      return whileStarting(state, event, rules);
    case 'up':
      return whileUp(state, event, rules);
    case 'stopping':
      return whileStopping(state, event, rules);
  }
}

/** True if the state has a process. */
export function isLive({ kind }: Supervised): boolean {
  return kind === 'starting' || kind === 'up' || kind === 'stopping';
}

function whileDown(state: Supervised, event: SupervisionEvent, rules: SupervisionRules): Step {
  if (event.type === 'start') return begin(FRESH, rules);
  return event.type === 'stop' ? [{ kind: 'stopped' }, []] : [state, []];
}

function whileBackingOff(state: Supervised & { kind: 'backoff' }, event: SupervisionEvent, rules: SupervisionRules): Step {
  switch (event.type) {
    case 'due':
      return begin(state.history, rules);
    case 'start':
      return begin(FRESH, rules);
    case 'stop':
      return [{ kind: 'stopped' }, [{ type: 'wait' }]];
    default:
      return [state, []];
  }
}

function whileStarting(state: Supervised & { kind: 'starting' }, event: SupervisionEvent, rules: SupervisionRules): Step {
  const { history, greeted, isExtended = false } = state;
  // Before its handshake it cannot be called.
  const rung = greeted ? 'ask' : 'term';
  switch (event.type) {
    case 'greeted':
      return greeted ? [state, []] : [{ ...state, greeted: true }, [{ type: 'wait' }]];
    case 'prepared':
      return greeted ? up(history, rules) : [state, []];
    case 'due':
      // Whatever paused the relay may have paused the program as well, so the timeout starts again.
      if (event.relayPaused && !isExtended) return [{ ...state, isExtended: true }, [{ type: 'wait', ms: rules.startTimeoutMs }]];
      return descend(
        rung,
        { to: 'backoff', reason: `its first line did not come in ${rules.startTimeoutMs} ms (startTimeoutMs)` },
        history,
      );
    case 'unstartable':
      return greeted ? [state, []] : fail(event.reason);
    case 'refused':
      return descend(rung, { to: 'failed', reason: event.reason }, history);
    case 'broken':
      return descend(rung, { to: 'backoff', reason: event.reason }, history);
    case 'stop':
      return descend(rung, { to: 'stopped' }, history);
    case 'exited':
      return died(history, event, rules);
    default:
      return [state, []];
  }
}

function whileUp(state: Up, event: SupervisionEvent, rules: SupervisionRules): Step {
  const { history, since } = state;
  const { now, pingIntervalMs: ms } = rules;
  switch (event.type) {
    case 'due':
      return pingIfQuiet(state, rules);
    case 'answered':
      return [{ ...state, missed: 0, isBusy: false, excusedSince: undefined }, [{ type: 'wait', ms }]];
    case 'missed':
      return miss(state, event.relayPaused, rules);
    case 'broken':
      return descend('term', { to: 'backoff', reason: event.reason }, now - since >= WELL_MS ? FRESH : history);
    case 'stop':
      return descend('ask', { to: 'stopped' }, history);
    case 'exited':
      return died(now - since >= WELL_MS ? FRESH : history, event, rules);
    default:
      return [state, []];
  }
}

/** A program that hangs is restarted after the same pause as one that crashes, since a pause of the machine must not leave it stopped. */
function miss(state: Up, relayPaused: boolean, { now, lastSign, maxTimeouts, pingIntervalMs: ms }: SupervisionRules): Step {
  const { since, history, excusedSince = now } = state;
  if (relayPaused && now - excusedSince < MAX_EXCUSED_MS) return [{ ...state, excusedSince }, [{ type: 'wait', ms }]];
  const missed = state.missed + 1;
  if (missed < maxTimeouts) return [{ ...state, missed, isBusy: false }, [{ type: 'wait', ms }]];
  const wasWell = lastSign - since >= WELL_MS;
  return descend('term', { to: 'backoff', reason: `it did not answer ${missed} times in a row (maxTimeouts)` }, wasWell ? FRESH : history);
}

function pingIfQuiet(state: Up, { now, isWorking, lastSign, pingIntervalMs }: SupervisionRules): Step {
  // Many servers have one thread, and cannot answer a ping while they work.
  if (isWorking) return [{ ...state, isBusy: state.missed === 0 }, [{ type: 'wait', ms: pingIntervalMs }]];
  const quietMs = now - lastSign;
  if (quietMs < pingIntervalMs && state.missed === 0)
    return [{ ...state, isBusy: false }, [{ type: 'wait', ms: pingIntervalMs - quietMs }]];
  return [state, [{ type: 'ping' }]];
}

function whileStopping(state: Supervised & { kind: 'stopping' }, event: SupervisionEvent, rules: SupervisionRules): Step {
  const { rung, goal, history } = state;
  switch (event.type) {
    case 'due':
      return descend(rung === 'ask' ? 'term' : 'kill', goal, history);
    case 'deaf':
      return rung === 'ask' ? descend('term', goal, history) : [state, []];
    case 'start':
      return [{ ...state, goal: { to: 'starting' } }, []];
    case 'stop':
      return [{ ...state, goal: { to: 'stopped' } }, []];
    case 'exited':
      return arrive(goal, history, event.isSpared, rules);
    default:
      return [state, []];
  }
}

/** The state after a stop. */
function arrive(goal: Goal, history: History, isSpared: boolean, rules: SupervisionRules): Step {
  switch (goal.to) {
    case 'stopped':
      return [{ kind: 'stopped' }, [{ type: 'wait' }]];
    case 'starting':
      return begin(FRESH, rules);
    case 'failed':
      return fail(goal.reason);
    case 'backoff':
      return died(history, { reason: goal.reason, isSpared }, rules);
  }
}

function begin(history: History, { startTimeoutMs }: SupervisionRules): Step {
  return [{ kind: 'starting', greeted: false, history }, [{ type: 'spawn' }, { type: 'wait', ms: startTimeoutMs }]];
}

function up(history: History, { now, pingIntervalMs }: SupervisionRules): Step {
  return [{ kind: 'up', missed: 0, isBusy: false, since: now, history }, [{ type: 'wait', ms: pingIntervalMs }]];
}

function descend(rung: 'ask' | 'term' | 'kill', goal: Goal, history: History): Step {
  return [{ kind: 'stopping', rung, goal, history }, [{ type: rung }, { type: 'wait', ms: RUNG_MS }]];
}

function died(history: History, { reason, isSpared }: { reason: string; isSpared: boolean }, rules: SupervisionRules): Step {
  const { now } = rules;
  const recent = history.restarts.filter((at) => now - at < WELL_MS);
  if (!isSpared && recent.length >= MAX_RESTARTS)
    return fail(`it was started ${MAX_RESTARTS} times in ${WELL_MS / 1000} s and ended each time; the last time: ${reason}`);
  const ms = nextDelay(history.deaths, RESTART_DELAY, rules.random);
  const until = now + ms;
  const known = { deaths: history.deaths + 1, restarts: isSpared ? recent : [...recent, now] };
  return [{ kind: 'backoff', until, reason, history: known }, [{ type: 'wait', ms }]];
}

function fail(reason: string): Step {
  return [{ kind: 'failed', reason }, [{ type: 'wait' }, { type: 'alarm', reason }]];
}

/** The public state of the plugin. */
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

/** Whether what the program offers can be used. */
export function readinessOf({ kind }: Supervised): Readiness {
  return kind === 'up' ? 'ready' : kind === 'failed' ? 'failed' : 'down';
}

/** The public state of its satellites. */
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

/** Explains why a call cannot be made at `now` (same clock): `is starting`, `is started again in 3 s: it ended with code 1`. */
export function describeState(state: Supervised, now: number): string {
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
