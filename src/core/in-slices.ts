/** Runs long work in slices of a few milliseconds, so that it does not block other work. */
import { setImmediate as nextTurn } from 'node:timers/promises';

// One turn of the event loop runs this many milliseconds or steps; a step should be a small part of a turn.
const TURN_MS = 5;
const TURN_STEPS = 16;
// Bytes that are copied without a pause.
const MAX_COPY_BYTES = 1024 * 1024;

/** Calls `step` until it returns true, and yields to other work every few milliseconds. Rejects with whatever `step` throws. */
export async function inSlices(step: () => boolean): Promise<void> {
  for (;;) {
    const until = performance.now() + TURN_MS;
    for (let steps = 0; steps < TURN_STEPS && performance.now() < until; steps++) if (step()) return;
    await nextTurn();
  }
}

/** Joins `parts` into one buffer, in slices if they are large. */
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
