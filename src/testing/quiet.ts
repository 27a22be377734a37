/** Waits until test relays are idle, or until a condition holds. */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AppStatus } from '../app.ts';
import { RelayError } from '../core/core.ts';

/** A relay to wait for. */
export interface WatchedRelay {
  /** How many messages were put into the inboxes of its satellites. */
  readonly queued: number;
  status(): AppStatus;
}

const waiting = new Set<() => void>();

/** Makes all waits check their conditions again. Called whenever something happens in a test relay. */
export function recheck(): void {
  const checks = [...waiting];
  waiting.clear();
  for (const check of checks) check();
}

// A process that is always busy is not waited for without end.
const MAX_BUSY = 5;

/**
 * Calls `onLate` once this process has been idle for `ms`, and again after each further `ms`, until the returned function is called. Time
 * in which it works or waits for a processor does not count, up to five times `ms`, so a slow machine is not taken for a test that hangs.
 */
export function whenLate(ms: number, onLate: () => void): () => void {
  let since = performance.eventLoopUtilization();
  const look = (): void => {
    const { idle, active } = performance.eventLoopUtilization(since);
    if (idle >= ms || idle + active >= MAX_BUSY * ms) {
      since = performance.eventLoopUtilization();
      timer = setTimeout(look, ms);
      onLate();
    } else timer = setTimeout(look, Math.ceil(ms - idle));
  };
  let timer = setTimeout(look, ms);
  return () => {
    clearTimeout(timer);
  };
}

/**
 * Resolves to the first result of `check` other than undefined; calls it now and whenever something happens. After `patienceMs`, counted
 * as in {@link whenLate}, rejects with a RelayError TIMEOUT of `text()`.
 */
export async function until<T>(check: () => T | undefined, patienceMs: number, text: () => string): Promise<T> {
  const late = new AbortController();
  const endWait = whenLate(patienceMs, () => {
    late.abort();
    recheck();
  });
  try {
    for (;;) {
      const found = check();
      if (found !== undefined) return found;
      if (late.signal.aborted) throw new RelayError('TIMEOUT', text());
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  } finally {
    endWait();
  }
}

/** Resolves once all deliveries have ended, and no dict is on its way to another relay. */
export async function settled(relays: () => readonly WatchedRelay[], patienceMs: number): Promise<void> {
  const isIdle = (): boolean => relays().every((relay) => pending(relay) === 0);
  const text = (): string => `not settled after ${patienceMs} ms: ${relays().flatMap(described).join('; ')}`;
  do {
    await until(() => isIdle() || undefined, patienceMs, text);
    // A dict that was sent during a delivery is counted one turn later.
    await nextTurn();
  } while (!isIdle());
}

/** Deliveries and forwards that have not ended. */
function pending(relay: WatchedRelay): number {
  const { mesh } = relay.status();
  return deliveries(relay) + mesh.peers.filter(({ isSending }) => isSending).length;
}

function deliveries(relay: WatchedRelay): number {
  const { satellites } = relay.status().plugins;
  return satellites.reduce((left, { delivered, failed, dropped, merged }) => left - delivered - failed - dropped - merged, relay.queued);
}

function described(relay: WatchedRelay): string[] {
  const { plugins, mesh } = relay.status();
  const running = deliveries(relay);
  const names = plugins.satellites.map(({ name }) => name).join(', ');
  const links = mesh.peers.filter(({ isSending }) => isSending).map(({ peer }) => `a dict is on its way to ${peer}`);
  const receives =
    running === 0
      ? []
      : [
          `receive() has not ended for ${running} ${running === 1 ? 'message' : 'messages'} (satellites: ${names}); if it waits for a timer of the relay, call clock.advance()`,
        ];
  return [...receives, ...links];
}
