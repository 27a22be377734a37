/** Work of a few milliseconds at a time, so that what is large holds up nobody else. */
import { setImmediate as nextTurn } from 'node:timers/promises';

// A turn of the loop ends after so many milliseconds or steps; each of these is to be a small part of a turn.
const TURN_MS = 5;
const TURN_STEPS = 16;
// What is copied at once, and in one turn.
const MAX_COPY_BYTES = 1024 * 1024;

/** Calls `step` until it answers true, and lets other work run every few milliseconds. Rejects with what `step` throws. */
export async function inSlices(step: () => boolean): Promise<void> {
  for (;;) {
    const until = performance.now() + TURN_MS;
    for (let steps = 0; steps < TURN_STEPS && performance.now() < until; steps++) if (step()) return;
    await nextTurn();
  }
}

/** One buffer of all `parts`, copied in turns if they are large together. */
export async function joinInSlices(parts: readonly Buffer[]): Promise<Buffer> {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  if (size <= MAX_COPY_BYTES) return Buffer.concat(parts, size);
  const whole = Buffer.allocUnsafeSlow(size);
  let at = 0;
  let next = 0;
  await inSlices(() => {
    at += parts[next++]?.copy(whole, at) ?? 0;
    return next >= parts.length;
  });
  return whole;
}
