/** What ends a child by itself: its relay is gone, or it holds more memory than it may. */
import { memoryUsage, ppid } from 'node:process';

/** Ends the process, with a reason for the log. */
export type EndProcess = (code: number, reason: string) => void;

/** The exit code of a child that held too much memory outside of its heap. */
export const OUT_OF_MEMORY = 86;

const INTERVAL_MS = 250;
const MB = 1024 * 1024;

/** Looks now and then; keeps nothing alive. The heap itself is bounded by Node (--max-old-space-size). */
export function watchOver(maxMemoryMb: number, end: EndProcess): void {
  const parent = ppid;
  setInterval(() => {
    // Who loses its parent gets another one.
    if (process.ppid !== parent) end(0, 'the relay is gone');
    const { external, heapUsed } = memoryUsage();
    if (external + heapUsed > 2 * maxMemoryMb * MB)
      end(OUT_OF_MEMORY, `out of memory: it holds ${Math.round((external + heapUsed) / MB)} MB (maxMemoryMb: ${maxMemoryMb})`);
  }, INTERVAL_MS).unref();
}
