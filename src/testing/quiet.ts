/** When nothing is under way any more between relays: what a test waits for before it looks. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AppStatus } from '../app.ts';

/** A relay that is waited for. */
export interface Busy {
  /** Times that a message was put into the line of a satellite. */
  readonly taken: number;
  status(): AppStatus;
}

const waiting = new Set<() => void>();

/** Has everybody who waits look again; called for whatever happens in any test relay. */
export function stir(): void {
  const looking = [...waiting];
  waiting.clear();
  for (const look of looking) look();
}

/**
 * What `look` finds: it is asked now and again whenever something happened, until it answers something or `patienceMs` of real time are
 * over; then this rejects with an Error of `text()`.
 */
export async function until<T>(look: () => T | undefined, patienceMs: number, text: () => string): Promise<T> {
  const late = new AbortController();
  const patience = setTimeout(() => {
    late.abort();
    stir();
  }, patienceMs);
  try {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (late.signal.aborted) throw new Error(text());
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  } finally {
    clearTimeout(patience);
  }
}

/** Resolves once every message has been received by all, and no dict is between two relays. */
export async function settled(relays: () => readonly Busy[], patienceMs: number): Promise<void> {
  const isQuiet = (): boolean => relays().every((relay) => underWay(relay) === 0);
  const text = (): string => `not settled after ${patienceMs} ms: ${relays().flatMap(described).join('; ')}`;
  do {
    await until(() => isQuiet() || undefined, patienceMs, text);
    // A dict that was sent in passing is counted a turn later.
    await nextTurn();
  } while (!isQuiet());
}

/** Deliveries and forwards that have not ended. */
function underWay(relay: Busy): number {
  const { mesh } = relay.status();
  return deliveries(relay) + mesh.peers.filter(({ state }) => state === 'sending').length;
}

function deliveries(relay: Busy): number {
  const { satellites } = relay.status().plugins;
  return satellites.reduce((left, { delivered, failed, dropped, merged }) => left - delivered - failed - dropped - merged, relay.taken);
}

function described(relay: Busy): string[] {
  const { plugins, mesh } = relay.status();
  const running = deliveries(relay);
  const names = plugins.satellites.map(({ name }) => name).join(', ');
  const links = mesh.peers.filter(({ state }) => state === 'sending').map(({ peer }) => `a dict is on its way to ${peer}`);
  const receives =
    running === 0
      ? []
      : [
          `receive() has not ended for ${running} ${running === 1 ? 'message' : 'messages'} (satellites: ${names}); one that waits for time needs clock.advance()`,
        ];
  return [...receives, ...links];
}
