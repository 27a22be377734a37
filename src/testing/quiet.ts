/** Waits until test relays are idle, or until a condition holds. */
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

/**
 * Resolves to the first result of `check` other than undefined; calls it now and whenever something happens. After `patienceMs` of real
 * time, rejects with a RelayError TIMEOUT of `text()`.
 */
export async function until<T>(check: () => T | undefined, patienceMs: number, text: () => string): Promise<T> {
  const late = new AbortController();
  const patience = setTimeout(() => {
    late.abort();
    recheck();
  }, patienceMs);
  try {
    for (;;) {
      const found = check();
      if (found !== undefined) return found;
      if (late.signal.aborted) throw new RelayError('TIMEOUT', text());
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  } finally {
    clearTimeout(patience);
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
