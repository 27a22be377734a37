/** Checks of the watchers and reactors of a program: what they accept, report, process and close. */
import { Fault, RelayError, clean, withTimeout } from '../../core/core.ts';
import { readReport } from '../../services/services.ts';
import type { Sendable } from '../../values/values.ts';
import type { Check, Exam } from '../exam.ts';
import { describeError, failed, note, ok } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';

type Role = 'watcher' | 'reactor';

const SECTION = 'What the relay calls';
// A watcher may have nothing to report for a while, which is no mistake.
const REPORT_MS = 10_000;
const NODE = { name: 'check1', host: '192.0.2.1', port: 80 };

const ACCEPT: Check = {
  name: 'its watchers and reactors accept a configuration, and start nothing',
  section: SECTION,
  expected: 'anything but false as the answer to plugin.accept',
  advice: 'if they need a configuration, say which in the text of the fault, and pass it here with --cfg',
  needsMain: true,
  when: ({ description }) => (description?.endpoints.length ?? 0) > 0,
  run: acceptAll,
};

const WATCH: Check = {
  name: 'its watchers report nodes',
  section: SECTION,
  expected: 'an answer to plugin.open at once, reports by relay.push_items, and an answer to plugin.close',
  advice: 'report a struct of nodes by name, or an array of all nodes, each with status up or down',
  needsMain: true,
  when: (exam) => has(exam, 'watcher'),
  run: watchAll,
};

const REACT: Check = {
  name: 'its reactors process changes',
  section: SECTION,
  expected: 'an answer to plugin.open, plugin.event and plugin.close',
  advice: 'answer plugin.event true when the changes are processed',
  needsMain: true,
  when: (exam) => has(exam, 'reactor'),
  run: reactAll,
};

/** The checks of this file. */
export const ENDPOINTS: readonly Check[] = [ACCEPT, WATCH, REACT];

/** Only those that accepted their configuration go on. */
function has({ description, accepted }: Exam, role: Role): boolean {
  return description?.endpoints.some((endpoint) => endpoint.role === role && accepted.has(endpoint.type)) ?? false;
}

async function acceptAll(exam: Exam): Promise<Outcome> {
  const { parts, description, accepted } = exam;
  const refused: string[] = [];
  for (const { type } of description?.endpoints ?? []) {
    try {
      if ((await accept(exam, type)) === false) return failed(`${type} answered false`, 'answer with a fault whose text says why');
      accepted.add(type);
    } catch (error) {
      if (!Fault.is(error) && !(RelayError.is(error) && error.code === 'APPLICATION')) throw error;
      refused.push(`${type} refused it: ${describeError(error)}`);
    }
  }
  if (refused.length > 0 && Object.keys(parts.cfg).length === 0)
    return note(refused.join('; '), 'pass the configuration of a service with --cfg, to have it checked');
  return refused.length > 0 ? failed(refused.join('; ')) : ok([...accepted].join(', '));
}

async function watchAll(exam: Exam): Promise<Outcome> {
  const { parts, main, description, accepted } = exam;
  const seen: string[] = [];
  for (const { role, type } of description?.endpoints ?? []) {
    if (role !== 'watcher' || !accepted.has(type)) continue;
    const stream = parts.relay.openStream();
    const ending = new AbortController();
    const id = `${idOf(type)}-watch`;
    try {
      await accept(exam, type, id);
      await main.call('plugin.open', [id, { stream: stream.id }], parts.limits.callMs);
      const first = await firstReport(exam, stream.items(ending.signal));
      if (first === undefined) return note(`${type} reported nothing within ${REPORT_MS / 1000} s`, 'begin with a list of all nodes');
      const { isFull, nodes } = readReport(first);
      seen.push(`${type}: ${isFull ? 'a list' : 'a change'} of ${nodes.length}`);
      await main.call('plugin.close', [id], parts.limits.callMs);
    } catch (error) {
      return failed(`${type}: ${describeError(error)}`);
    } finally {
      ending.abort(new RelayError('UNAVAILABLE', 'the check is over'));
      parts.relay.closeStream(stream);
    }
  }
  return ok(seen.join(', '));
}

async function firstReport({ parts, main }: Exam, reports: AsyncGenerator<Sendable, void, undefined>): Promise<Sendable | undefined> {
  const next = reports.next();
  const ended = main.ended.then(({ reason }) => {
    throw new Error(reason);
  });
  // Whatever comes after the first report is of no interest.
  next.catch(() => undefined);
  ended.catch(() => undefined);
  const first = await withTimeout(parts.clock, Math.min(REPORT_MS, parts.limits.callMs), 'late', () => Promise.race([next, ended])).catch(
    (error: unknown) => {
      if (RelayError.is(error) && error.code === 'TIMEOUT') return undefined;
      throw error;
    },
  );
  if (first?.done === true) throw new Error('the stream ended without a report');
  return first?.value;
}

async function reactAll(exam: Exam): Promise<Outcome> {
  const { parts, main, description, accepted } = exam;
  const called: string[] = [];
  for (const { role, type } of description?.endpoints ?? []) {
    if (role !== 'reactor' || !accepted.has(type)) continue;
    const id = `${idOf(type)}-react`;
    const call = (method: string, ...params: readonly Sendable[]) => main.call(method, [id, ...params], parts.limits.callMs);
    try {
      await accept(exam, type, id);
      await call('plugin.open', {});
      if (parts.callsMethods) {
        const changes = (['up', 'down'] as const).map((status) => ({ [NODE.name]: { ...NODE, status } }));
        await call('plugin.event', changes.slice(0, 1));
        await call('plugin.event', changes.slice(1));
      }
      await call('plugin.close');
      called.push(type);
    } catch (error) {
      return failed(`${type}: ${describeError(error)}`);
    }
  }
  if (!parts.callsMethods) return ok(`${called.join(', ')}; without changes, which --call sends`);
  return ok(called.join(', '));
}

function accept({ main, parts }: Exam, type: string, id = idOf(type)): ReturnType<Exam['main']['call']> {
  const order = { endpoint: id, service: 'check', name: 'check', config: parts.cfg as Sendable };
  return main.call('plugin.accept', [type, order], parts.limits.setupMs);
}

function idOf(type: string): string {
  return `check-${clean(type, 100).replace(/\W/g, '-')}`;
}
