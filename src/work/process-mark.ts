/** Tells processes apart, also across restarts of the machine: a number alone is used again. */
import { readFileSync } from 'node:fs';
import type { ProcessMark } from './unit.ts';

/** Of a process that runs now. */
export function markOf(pid: number): ProcessMark {
  return { pid, startTime: startTimeOf(pid), bootId: bootId() };
}

/** True if this very process still runs. Only where the system tells enough to be sure. */
export function isAlive({ pid, startTime, bootId: boot }: ProcessMark): boolean {
  return startTime !== undefined && boot !== undefined && boot === bootId() && startTime === startTimeOf(pid);
}

/** Field 22 of /proc/PID/stat (proc(5)): clock ticks from the start of the machine. */
function startTimeOf(pid: number): string | undefined {
  const text = readIfThere(`/proc/${pid}/stat`);
  // The name of the program, in parentheses, may have spaces and parentheses.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

function bootId(): string | undefined {
  return readIfThere('/proc/sys/kernel/random/boot_id')?.trim();
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
