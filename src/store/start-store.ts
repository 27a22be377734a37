/** Opens the store as a step of the start, so that it is closed after everything that uses it. */
import type { Steps } from '../core/core.ts';
import { openStore } from './durable-store.ts';
import type { StoreDependencies } from './durable-store.ts';
import type { Store } from './port.ts';

// A large store is verified.
const START_TIMEOUT_MS = 10 * 60_000;

/** Rejects as `openStore` does. */
export async function startStore(steps: Steps, dependencies: StoreDependencies): Promise<Store> {
  let store: Store | undefined;
  await steps.start({
    name: 'the store',
    start: async () => {
      store = await openStore(dependencies);
    },
    stop: () => store?.close(),
    startTimeoutMs: START_TIMEOUT_MS,
  });
  if (!store) throw new Error('the store was not opened');
  return store;
}
