/** The life of a link to one server, as a pure machine: what happens next is decided here, and done elsewhere. */

/** `sending` and `waiting` know how often in a row the server failed; `draining` sends what waits and then closes. */
export type LinkState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'sending'; readonly failures: number; readonly draining: boolean }
  | { readonly kind: 'waiting'; readonly failures: number }
  | { readonly kind: 'closed' };

export type LinkEvent =
  | { readonly type: 'queued' }
  /** The server took the dict, or refused it for good; `left` dicts wait behind it. */
  | { readonly type: 'answered'; readonly left: number }
  /** `progressed`: the server took some dicts before; `atLeastMs`: how long it asks us to wait. */
  | { readonly type: 'failed'; readonly progressed?: boolean; readonly atLeastMs?: number | undefined }
  | { readonly type: 'due' }
  | { readonly type: 'drain' }
  | { readonly type: 'close' };

export type LinkEffect =
  | { readonly type: 'post' }
  | { readonly type: 'wait'; readonly ms: number; readonly failures: number }
  | { readonly type: 'recovered'; readonly failures: number }
  | { readonly type: 'close' };

export interface Backoff {
  readonly minMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** The next state and what to do, in order. Events that mean nothing in a state change nothing. */
export function step(state: LinkState, event: LinkEvent, backoff: Backoff): readonly [LinkState, readonly LinkEffect[]] {
  if (event.type === 'close') return state.kind === 'closed' ? [state, []] : [{ kind: 'closed' }, [{ type: 'close' }]];
  switch (state.kind) {
    case 'idle':
      return whileIdle(state, event);
    case 'sending':
      return whileSending(state, event, backoff);
    case 'waiting':
      return whileWaiting(state, event);
    case 'closed':
      return [state, []];
  }
}

type Step = readonly [LinkState, readonly LinkEffect[]];

function whileIdle(state: LinkState, event: LinkEvent): Step {
  if (event.type === 'queued') return [{ kind: 'sending', failures: 0, draining: false }, [{ type: 'post' }]];
  if (event.type === 'drain') return [{ kind: 'closed' }, [{ type: 'close' }]];
  return [state, []];
}

function whileSending(state: LinkState & { kind: 'sending' }, event: LinkEvent, backoff: Backoff): Step {
  const { failures, draining } = state;
  switch (event.type) {
    case 'answered': {
      const recovered: LinkEffect[] = failures > 0 ? [{ type: 'recovered', failures }] : [];
      if (event.left > 0) return [{ kind: 'sending', failures: 0, draining }, [...recovered, { type: 'post' }]];
      return draining ? [{ kind: 'closed' }, [...recovered, { type: 'close' }]] : [{ kind: 'idle' }, recovered];
    }
    case 'failed': {
      // A stop does not wait for a server that is down.
      if (draining) return [{ kind: 'closed' }, [{ type: 'close' }]];
      const recovered: LinkEffect[] = event.progressed === true && failures > 0 ? [{ type: 'recovered', failures }] : [];
      const before = event.progressed === true ? 0 : failures;
      const ms = Math.max(pauseMs(before, backoff), event.atLeastMs ?? 0);
      // A server that takes some now and wants the rest later is not down.
      const after = event.progressed === true ? 0 : failures + 1;
      return [{ kind: 'waiting', failures: after }, [...recovered, { type: 'wait', ms, failures: after }]];
    }
    case 'drain':
      return [{ ...state, draining: true }, []];
    default:
      return [state, []];
  }
}

function whileWaiting(state: LinkState & { kind: 'waiting' }, event: LinkEvent): Step {
  if (event.type === 'due') return [{ kind: 'sending', failures: state.failures, draining: false }, [{ type: 'post' }]];
  if (event.type === 'drain') return [{ kind: 'closed' }, [{ type: 'close' }]];
  return [state, []];
}

/** Full jitter: anything from 0 to the limit, so that a hundred relays do not come back in one beat. */
export function pauseMs(failures: number, { minMs, maxMs, random }: Backoff): number {
  return Math.round(random() * Math.min(maxMs, minMs * 2 ** Math.min(failures, 30)));
}
