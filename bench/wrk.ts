/** Load by `wrk`, where it is installed: it costs a fraction of a client in Node, so that the server is what is measured. */
import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Document } from './documents.ts';
import { CONNECTIONS, load, requestOf } from './load.ts';
import { quantile } from './statistics.ts';

/** What one load measured. */
export interface Measured {
  readonly requests: number;
  readonly perSecond: number;
  /** ms that half and 99 of 100 of the calls took. */
  readonly p50: number;
  readonly p99: number;
}

/** Calls of a document at a port for some ms. Rejects if an answer is not HTTP 200. */
export type Load = (port: number, document: Document, ms: number) => Promise<Measured>;

const execute = promisify(execFile);

/** True if this machine has the program. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Load by `wrk` with `prefix` before its command (`taskset -c 1`); its scripts are written into `directory`. */
export function wrkLoad(directory: string, prefix: readonly string[]): Load {
  return async (port, document, ms) => {
    const script = join(directory, `${document.method}.lua`);
    const body = document.bytes.toString('latin1');
    writeFileSync(script, `wrk.method = "POST"\nwrk.headers["Content-Type"] = "text/xml"\nwrk.body = [==[${body}]==]\n`, 'latin1');
    // It takes whole seconds only.
    const seconds = Math.max(1, Math.round(ms / 1000));
    const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '--latency', '-s', script, `http://127.0.0.1:${port}/RPC2`];
    const [command = '', ...others] = [...prefix, 'wrk', ...args];
    return measured((await execute(command, others)).stdout);
  };
}

/** Load by this process. */
export const ownLoad: Load = async (port, document, ms) => {
  const { callsPerSecond, latencies } = await load(port, requestOf(document.bytes), CONNECTIONS, { ms });
  return { requests: latencies.length, perSecond: callsPerSecond, p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
};

function measured(output: string): Measured {
  // Answers that take longer than two seconds count as errors there, and some servers are that slow.
  if (/Non-2xx|Socket errors: (?!connect 0, read 0, write 0)/.test(output)) throw new Error(`calls failed:\n${output}`);
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1]);
  return {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50: milliseconds(/50%\s+([\d.]+)([a-z]+)/.exec(output)),
    p99: milliseconds(/99%\s+([\d.]+)([a-z]+)/.exec(output)),
  };
}

function milliseconds(found: RegExpExecArray | null): number {
  const [, value, unit] = found ?? [];
  return Number(value) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1);
}
