/** The contract test of a program: starts it as the relay does, and looks whether what docs/protocol-for-programs.md says holds. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayError, SILENT, clean, reasonOf, systemClock } from '../core/core.ts';
import { OrphanWatch, completeRecord, findExecutable, programShape } from '../plugin-host/programs/internal.ts';
import type { ProgramOptions, ProgramRecord } from '../plugin-host/programs/internal.ts';
import { BY_HAND, STARTING } from './checks/starting.ts';
import { CALLS, SAID, WORKING } from './checks/calls.ts';
import { ENDING } from './checks/ending.ts';
import { HTTP_FORM, POLL_FORM } from './checks/http-form.ts';
import { MESSAGES } from './checks/messages.ts';
import { PREPARING } from './checks/preparing.ts';
import { AT_LAST, BESIDE, LISTENS } from './checks/surroundings.ts';
import { Exam } from './exam.ts';
import type { Check, Limits } from './exam.ts';
import type { Finding, Verdict } from './outcome.ts';
import { FakeRelay } from './fake-relay.ts';
import { CheckedProcess } from './checked-process.ts';

export { findingText } from './outcome.ts';
export type { Finding, Verdict } from './outcome.ts';

export interface CheckOptions {
  readonly record: Pick<ProgramRecord, 'name' | 'exec' | 'args' | 'env' | 'config' | 'send'>;
  /** ms for each step; where the protocol gives it less, that holds. */
  readonly timeoutMs: number;
  /** Calls its methods, too, which may do anything. */
  readonly callsMethods: boolean;
  /** Version of the relay. */
  readonly version: string;
  /** Our own environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted, it ends all processes and rejects with the reason. */
  readonly signal: AbortSignal;
  /** Told of each as it is found. */
  readonly onFinding: (finding: Finding) => void;
  /** Told of everything that is said, both ways. */
  readonly onWire: (text: string) => void;
}

export interface CheckReport {
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Record<Verdict, number>>;
  /** Checks that could not be made, because the program did not get that far. */
  readonly leftOut: number;
}

const CHECKS: readonly Check[] = [
  ...BY_HAND,
  ...STARTING,
  ...PREPARING,
  LISTENS,
  ...HTTP_FORM,
  ...POLL_FORM,
  ...CALLS,
  ...MESSAGES,
  ...WORKING,
  ...BESIDE,
  ...ENDING,
  ...AT_LAST,
  // All that the main process had to say is read by then.
  ...SAID,
];

/**
 * Looks at a program, and leaves no process of it. Rejects with a RelayError CONFIG_INVALID if there is nothing to look at: no such file, a
 * name that cannot be.
 */
export async function checkPlugin(options: CheckOptions): Promise<CheckReport> {
  const record = recordOf(options);
  const findings: Finding[] = [];
  const processes: CheckedProcess[] = [];
  const orphans = new OrphanWatch(SILENT);
  const stateDir = await mkdtemp(join(tmpdir(), 'co2-check-'));
  const relay = new FakeRelay(({ text, fault }) => {
    options.onWire(`it called ${text}${fault ? `: fault ${fault.code}: ${fault.text}` : ''}`);
  });
  const start = (over: Readonly<Record<string, string | undefined>> = {}): CheckedProcess => {
    const common = { record, clock: systemClock, orphans, relay, stateDir, env: options.env, onWire: options.onWire };
    const process = new CheckedProcess({ ...common, id: `process ${processes.length + 1}`, over });
    processes.push(process);
    return process;
  };
  const killAll = (): Promise<unknown> => Promise.all(processes.map((process) => process.kill()));
  const onAbort = (): void => void killAll();
  options.signal.addEventListener('abort', onAbort, { once: true });
  const { callsMethods, version, signal } = options;
  const exam = new Exam({
    ...{ record, limits: limitsOf(options), callsMethods, version, clock: systemClock, relay, start, signal },
    onFinding: (finding) => {
      findings.push(finding);
      options.onFinding(finding);
    },
  });
  try {
    await relay.start();
    await exam.run(CHECKS);
  } finally {
    await killAll();
    await relay.stop();
    await orphans.stop();
    await rm(stateDir, { recursive: true, force: true });
    options.signal.removeEventListener('abort', onAbort);
  }
  const count = (wanted: Verdict): number => findings.filter(({ verdict }) => verdict === wanted).length;
  return { findings, counts: { ok: count('ok'), note: count('note'), failed: count('failed') }, leftOut: exam.leftOut };
}

/** As `config.ts` would have it. Throws a RelayError CONFIG_INVALID. */
function recordOf({ record, env }: CheckOptions): ProgramOptions {
  const name = programShape.pick({ name: true }).safeParse({ name: record.name });
  if (!name.success)
    throw new RelayError(
      'CONFIG_INVALID',
      `--name: '${clean(record.name, 60)}': expected ${name.error.issues[0]?.message ?? 'another name'}`,
    );
  const send = programShape.pick({ send: true }).safeParse({ send: record.send });
  if (!send.success) {
    const [issue] = send.error.issues;
    throw new RelayError('CONFIG_INVALID', `--send: ${issue?.path.slice(1).join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
  }
  try {
    return completeRecord({ ...record, exec: findExecutable(record.exec, env.PATH, record.env?.PATH) });
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', reasonOf(error), { cause: error });
  }
}

function limitsOf({ timeoutMs }: CheckOptions): Limits {
  const atMost = (ms: number): number => Math.min(ms, timeoutMs);
  return { startMs: atMost(10_000), setupMs: atMost(10_000), pingMs: atMost(5_000), callMs: atMost(60_000), stopMs: atMost(5_000) };
}
