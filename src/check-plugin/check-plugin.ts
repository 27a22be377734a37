/** The contract test of a program: starts it as the relay does, and checks whether it conforms to docs/protocol-for-programs.md. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { RelayError, SILENT, clean, reasonOf, systemClock } from '../core/core.ts';
import { OrphanWatch, completeRecord, findExecutable, programShape } from '../plugin-host/programs/internal.ts';
import type { ProgramOptions, ProgramRecord } from '../plugin-host/programs/internal.ts';
import { BY_HAND, STARTING } from './checks/starting.ts';
import { CALLS, METHOD_CALLS, OUTPUT_CHECKS } from './checks/calls.ts';
import { ENDPOINTS } from './checks/endpoints.ts';
import { ENDING } from './checks/ending.ts';
import { HTTP_FORM, POLL_FORM } from './checks/http-form.ts';
import { MESSAGES } from './checks/messages.ts';
import { PREPARING } from './checks/preparing.ts';
import { COMMANDS, RECORDINGS } from './checks/recordings.ts';
import { LISTENS, MORE_PROCESSES, WITHOUT_RELAY } from './checks/surroundings.ts';
import { WORK } from './checks/work.ts';
import { Exam } from './exam.ts';
import type { Check, Limits } from './exam.ts';
import type { Finding, Verdict } from './outcome.ts';
import { FakeRelay } from './fake-relay.ts';
import { CheckedProcess } from './checked-process.ts';

export { findingText } from './outcome.ts';
export type { Finding, Verdict } from './outcome.ts';

/** Which program is checked, and how. */
export interface CheckOptions {
  readonly record: Pick<ProgramRecord, 'name' | 'exec' | 'args' | 'env' | 'config' | 'send'>;
  /** ms for each step, unless the protocol allows less. */
  readonly timeoutMs: number;
  /** What its watchers and reactors are configured with. Default: `{}`. */
  readonly cfg?: Readonly<Record<string, unknown>> | undefined;
  /** True to call its methods, run its work, and send changes to its reactors, whatever they do. */
  readonly callsMethods: boolean;
  /** The version of the relay. */
  readonly version: string;
  /** The environment of this process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends all processes when it is aborted; the check then rejects with its reason. */
  readonly signal: AbortSignal;
  /** Called with each finding as it is made. */
  readonly onFinding: (finding: Finding) => void;
  /** Called with everything that the program and the relay send to each other. */
  readonly onWire: (text: string) => void;
}

/** The result of all checks. */
export interface CheckReport {
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Record<Verdict, number>>;
  /** Checks that were not made, because the program did not get that far. */
  readonly skipped: number;
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
  ...METHOD_CALLS,
  ...WORK,
  RECORDINGS,
  COMMANDS,
  ...ENDPOINTS,
  ...MORE_PROCESSES,
  ...ENDING,
  ...WITHOUT_RELAY,
  // By then, the whole output of the main process has been read.
  ...OUTPUT_CHECKS,
];

/**
 * Checks a program, and ends all its processes. Rejects with a RelayError CONFIG_INVALID if the file does not exist or the name is invalid.
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
  const { callsMethods, cfg = {}, version, signal } = options;
  const exam = new Exam({
    ...{ record, limits: limitsOf(options), callsMethods, cfg, version, clock: systemClock, relay, start, signal },
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
  return { findings, counts: { ok: count('ok'), note: count('note'), failed: count('failed') }, skipped: exam.skipped };
}

/** Completes the record as the relay does with those of `config.ts`. Throws a RelayError CONFIG_INVALID. */
function recordOf({ record, env }: CheckOptions): ProgramOptions {
  const name = z.pick(programShape, { name: true }).safeParse({ name: record.name });
  if (!name.success)
    throw new RelayError(
      'CONFIG_INVALID',
      `--name: '${clean(record.name, 60)}': expected ${name.error.issues[0]?.message ?? 'another name'}`,
    );
  const send = z.pick(programShape, { send: true }).safeParse({ send: record.send });
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
