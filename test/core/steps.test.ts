import test from 'ava';
import { Steps } from '../../src/core/core.ts';
import type { Step } from '../../src/core/core.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

function makeSteps(signal?: AbortSignal) {
  const clock = new VirtualClock();
  const log = new LogRecord();
  const done: string[] = [];
  const step = (name: string, changes: Partial<Step> = {}): Step => ({
    name,
    start: () => {
      done.push(`start ${name}`);
    },
    stop: () => {
      done.push(`stop ${name}`);
    },
    ...changes,
  });
  return { steps: new Steps({ clock, log: log.source('app'), signal }), clock, log, done, step };
}

const never = (): Promise<void> => new Promise(() => undefined);

test('steps stop in reverse, after the one that stops first', async (t) => {
  const { steps, done, step } = makeSteps();
  await steps.start(step('server', { stopsFirst: true }));
  await steps.start(step('mesh'));
  await steps.start(step('plugins'));
  await Promise.all([steps.stop(), steps.stop()]);
  t.deepEqual(done, ['start server', 'start mesh', 'start plugins', 'stop server', 'stop plugins', 'stop mesh']);
});

test('a start that takes too long fails and names the step, and the started steps are stopped', async (t) => {
  const { steps, clock, done, step } = makeSteps();
  const starting = steps.start(step('satellites', { start: never, startTimeoutMs: 500 }));
  clock.advance(500);
  t.like(await t.throwsAsync(starting), { code: 'TIMEOUT', message: 'starting satellites took longer than 500 ms' });
  await steps.stop();
  t.deepEqual(done, ['stop satellites']);
});

test('a stop that takes too long, or throws, is logged by its name, and the others stop', async (t) => {
  const { steps, clock, log, done, step } = makeSteps();
  await steps.start(step('mesh'));
  const fails = (): void => {
    throw new Error('no');
  };
  await steps.start(step('hooks', { stop: fails }));
  await steps.start(step('plugins', { stop: never, stopTimeoutMs: 700 }));
  const stopping = steps.stop();
  await clock.set.until((ms) => ms === 700);
  clock.advance(700);
  await stopping;
  t.deepEqual(done, ['start mesh', 'start hooks', 'start plugins', 'stop mesh']);
  t.deepEqual(
    log.matching(/did not stop cleanly/).map((text) => text.split(' ', 1)[0]),
    ['plugins', 'hooks'],
  );
});

test('a signal cancels a running start', async (t) => {
  const controller = new AbortController();
  const { steps, step } = makeSteps(controller.signal);
  const starting = steps.start(step('plugins', { start: never }));
  controller.abort();
  t.like(await t.throwsAsync(starting), { code: 'UNAVAILABLE', message: 'the start was canceled while starting plugins' });
});
