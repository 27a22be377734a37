/** Stops plugins in reverse order, within a budget of time however many of them hang. */
import type { Clock } from '../core/core.ts';
import type { HostedPlugin } from './hosted/hosted.ts';

// A stop takes at most one exitTimeoutMs more than so many.
const EXITS_IN_TURN = 2;

/**
 * Those in this process one after the other as long as they are quick; once they have used up the budget, the rest at once. Never rejects.
 */
export async function stopInTurn(plugins: readonly HostedPlugin[], clock: Clock, exitTimeoutMs: number): Promise<void> {
  // Each has time limits of its own.
  const ending = Promise.all(plugins.filter((plugin) => !isInline(plugin)).map((plugin) => plugin.stop()));
  const waiting = plugins.filter(isInline).reverse();
  const deadline = clock.now() + EXITS_IN_TURN * exitTimeoutMs;
  while (waiting.length > 0) {
    const next = waiting.splice(0, clock.now() < deadline ? 1 : waiting.length);
    await Promise.all(next.map((plugin) => plugin.stop()));
  }
  await ending;
}

/** True for one that runs in this process. */
export function isInline({ status }: HostedPlugin): boolean {
  return status.kind === 'inline';
}
