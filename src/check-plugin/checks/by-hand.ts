/** Somebody runs the program by hand, as people do with whatever lies in a directory. */
import type { Check } from '../exam.ts';
import { failed, note, ok } from '../outcome.ts';

// What a program that a relay starts finds, and nobody else has.
const NO_RELAY = {
  CO2_RELAY_URL: undefined,
  CO2_PLUGIN_NAME: undefined,
  CO2_PLUGIN_TOKEN: undefined,
  CO2_PROTOCOL_VERSIONS: undefined,
};

export const BY_HAND: readonly Check[] = [
  {
    name: 'run by hand, it says what it is and ends',
    section: 'Starting',
    expected: 'without CO2_PLUGIN_TOKEN: a text about programs in config.ts, and an exit code that is not 0',
    advice:
      'where CO2_PLUGIN_TOKEN is not in the environment, write what the program is and where it belongs to standard error, and exit with 1',
    look: async ({ parts: { start, limits } }) => {
      const byHand = start(NO_RELAY);
      const end = await byHand.endWithin(limits.startMs);
      await byHand.kill();
      if (!end) return failed(`it still ran after ${limits.startMs} ms`);
      if (end.code === undefined) return failed(end.reason);
      const first = await byHand.firstLine;
      const said = [...(first === undefined ? [] : [first]), ...byHand.lines].join('\n');
      if (said === '') return failed(`it said nothing, and ${end.reason.replace(/^it /, '')}`);
      if (first?.startsWith('co2|') === true) return failed(`it wrote the line for a relay: ${first}`);
      if (end.code === 0) return failed('it ended with code 0, as if it had done its work');
      if (!/config\.ts|programs/.test(said))
        return note(`it said '${said.slice(0, 200)}'`, 'say that it belongs into programs of config.ts');
      return ok(end.reason);
    },
  },
];
