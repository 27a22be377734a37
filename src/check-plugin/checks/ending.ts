/** The end of a program that is asked to go. */
import type { Check } from '../exam.ts';
import { failed, inWords, note, ok } from '../outcome.ts';

const STOP: Check = {
  name: 'plugin.stop is answered',
  section: 'What the relay calls',
  expected: 'any answer, and only then its end',
  advice: 'answer plugin.stop with true first, then end',
  needsMain: true,
  endsMain: true,
  look: async ({ main, parts: { limits } }) => {
    try {
      await main.call('plugin.stop', [], limits.stopMs);
      return ok();
    } catch (error) {
      return main.end ? note(inWords(error)) : failed(inWords(error));
    }
  },
};

const ENDS: Check = {
  name: 'it ends after plugin.stop',
  section: 'What the relay calls',
  expected: 'the end of its process within 5 s',
  advice: 'close the server and leave the main loop; what still runs beside it (threads, timers) must not keep the process',
  needsMain: true,
  endsMain: true,
  look: async ({ main, parts: { limits } }) => {
    const end = await main.endWithin(limits.stopMs);
    return end ? ok(end.reason) : failed(`it still ran ${limits.stopMs} ms later`);
  },
};

const ALL_GONE: Check = {
  name: 'it leaves nothing behind',
  section: 'What the relay calls',
  expected: 'that the processes which it started have ended before it',
  advice: 'end them and wait for them before the program ends: what is left of its group is killed',
  needsMain: true,
  endsMain: true,
  when: ({ main }) => main.end !== undefined,
  look: async ({ main }) => (main.end?.leftBehind === true ? failed('a process of its group was still there') : ok()),
};

export const ENDING: readonly Check[] = [STOP, ENDS, ALL_GONE];
