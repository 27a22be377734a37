/** Checks of the end of a program that is asked to stop. */
import type { Check } from '../exam.ts';
import { failed, describeError, note, ok } from '../outcome.ts';

const STOP: Check = {
  name: 'plugin.stop is answered',
  section: 'What the relay calls',
  expected: 'any answer before its end',
  advice: 'answer plugin.stop with true first, then end',
  needsMain: true,
  endsMain: true,
  run: async ({ main, parts: { limits } }) => {
    try {
      await main.call('plugin.stop', [], limits.stopMs);
      return ok();
    } catch (error) {
      return main.end ? note(describeError(error)) : failed(describeError(error));
    }
  },
};

const ENDS: Check = {
  name: 'it ends after plugin.stop',
  section: 'What the relay calls',
  expected: 'the end of its process within 5 s',
  advice: 'close the server and leave the main loop; threads and timers must not keep the process alive',
  needsMain: true,
  endsMain: true,
  run: async ({ main, parts: { limits } }) => {
    const end = await main.endWithin(limits.stopMs);
    return end ? ok(end.reason) : failed(`it was still running ${limits.stopMs} ms later`);
  },
};

const ALL_GONE: Check = {
  name: 'it leaves nothing behind',
  section: 'What the relay calls',
  expected: 'the processes that it started end before it',
  advice: 'end them and wait for them before the program ends: the rest of its process group is killed',
  needsMain: true,
  endsMain: true,
  when: ({ main }) => main.end !== undefined,
  run: async ({ main }) => (main.end?.leftBehind === true ? failed('a process of its group was still running') : ok()),
};

/** The checks of this file. */
export const ENDING: readonly Check[] = [STOP, ENDS, ALL_GONE];
