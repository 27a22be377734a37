/** State machine of a link to one server. Pure: it decides what happens next, and `Link` does it. */
import { nextDelay } from '../core/core.ts';

/** `failures`: failed requests in a row. `draining`: send what waits, then close. */
export type LinkState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'sending'; readonly failures: number; readonly draining: boolean }
  | { readonly kind: 'waiting'; readonly failures: number }
  | { readonly kind: 'closed' };

export type LinkInput =
  | { readonly type: 'queued' }
  /** Ask the server whether it is there, unless dicts are sent to it anyway. */
  | { readonly type: 'ping' }
  /** The server accepted the request, or rejected it for good; `left` dicts still wait. */
  | { readonly type: 'answered'; readonly left: number }
  /** `progressed`: the server accepted some of the dicts; `atLeastMs`: how long it asked us to wait. */
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

/** The next state, and the effects in order. An input that has no meaning in a state changes nothing. */
export function step(state: LinkState, input: LinkInput, backoff: Backoff): readonly [LinkState, readonly LinkEffect[]] {
  if (input.type === 'close') return state.kind === 'closed' ? [state, []] : [{ kind: 'closed' }, [{ type: 'close' }]];
  switch (state.kind) {
    case 'idle':
      return whileIdle(state, input);
    case 'sending':
      return whileSending(state, input, backoff);
    case 'waiting':
      return whileWaiting(state, input);
    case 'closed':
      return [state, []];
  }
}

type Step = readonly [LinkState, readonly LinkEffect[]];

function whileIdle(state: LinkState, input: LinkInput): Step {
  if (input.type === 'queued' || input.type === 'ping') return [{ kind: 'sending', failures: 0, draining: false }, [{ type: 'post' }]];
  if (input.type === 'drain') return [{ kind: 'closed' }, [{ type: 'close' }]];
  return [state, []];
}

function whileSending(state: LinkState & { kind: 'sending' }, input: LinkInput, backoff: Backoff): Step {
  const { failures, draining } = state;
  switch (input.type) {
    case 'answered': {
      const recovered: LinkEffect[] = failures > 0 ? [{ type: 'recovered', failures }] : [];
      if (input.left > 0) return [{ kind: 'sending', failures: 0, draining }, [...recovered, { type: 'post' }]];
      return draining ? [{ kind: 'closed' }, [...recovered, { type: 'close' }]] : [{ kind: 'idle' }, recovered];
    }
    case 'failed': {
      // Stopping does not wait for a server that is down.
      if (draining) return [{ kind: 'closed' }, [{ type: 'close' }]];
      const recovered: LinkEffect[] = input.progressed === true && failures > 0 ? [{ type: 'recovered', failures }] : [];
      const before = input.progressed === true ? 0 : failures;
      const ms = Math.max(retryDelay(before, backoff), input.atLeastMs ?? 0);
      // A server that accepts some now and wants the rest later is not down.
      const after = input.progressed === true ? 0 : failures + 1;
      return [{ kind: 'waiting', failures: after }, [...recovered, { type: 'wait', ms, failures: after }]];
    }
    case 'drain':
      return [{ ...state, draining: true }, []];
    default:
      return [state, []];
  }
}

function whileWaiting(state: LinkState & { kind: 'waiting' }, input: LinkInput): Step {
  if (input.type === 'due') return [{ kind: 'sending', failures: state.failures, draining: false }, [{ type: 'post' }]];
  if (input.type === 'drain') return [{ kind: 'closed' }, [{ type: 'close' }]];
  return [state, []];
}

/** Full jitter: anything from 0 to a limit that doubles, so that a hundred relays do not come back at the same moment. */
export function retryDelay(failures: number, { minMs, maxMs, random }: Backoff): number {
  return nextDelay(failures, { firstMs: minMs, factor: 2, maxMs, jitter: 1 }, random);
}
