/** The program and its machine: where it listens, two of it at once, versions of the protocol that are still to come. */
import type { Check } from '../exam.ts';
import { failed, note, ok } from '../outcome.ts';
import { openToOthers } from '../listening.ts';
import { greetAnother, startAnother } from './starting.ts';

export const LISTENS: Check = {
  name: 'it listens on this machine alone',
  section: 'The first line',
  expected: 'no address but 127.0.0.1',
  advice: 'bind the server to 127.0.0.1, not to all addresses',
  needsMain: true,
  look: async ({ main }) => {
    const open = main.pid === undefined ? undefined : openToOthers(main.pid);
    if (open === undefined) return ok('not seen: this system does not tell');
    return open.length === 0 ? ok() : failed(open.slice(0, 5).join(', '));
  },
};

const TWICE: Check = {
  name: 'two of it run at the same time',
  section: 'Starting',
  expected: 'that the second process gets ready while the first one works',
  advice: 'take any free port (0), and keep files in the working directory',
  needsMain: true,
  look: async (exam) => {
    exam.second = await startAnother(exam);
    return ok();
  },
};

const HANDOVER: Check = {
  name: 'plugin.handover and plugin.restore pass its state on',
  section: 'What the relay calls',
  expected: 'any value from plugin.handover, which plugin.restore of another process takes',
  advice: 'answer the state, and take it as the one parameter; or leave handover out of the capabilities',
  needsMain: true,
  when: ({ description }) => description?.capabilities.has('handover') === true,
  look: async (exam) => {
    const { stopMs, setupMs } = exam.parts.limits;
    const state = await exam.main.call('plugin.handover', [], stopMs);
    const heir = await startAnother(exam, (another) => another.call('plugin.restore', [state], setupMs));
    await heir.kill();
    return ok();
  },
};

const TERMINATED: Check = {
  name: 'SIGTERM ends it',
  section: 'What the relay calls',
  expected: 'its end within 5 s after SIGTERM',
  advice: 'leave SIGTERM as it is, or end when it comes: a second later, or five, comes SIGKILL',
  when: ({ second }) => second !== undefined,
  look: async ({ second, parts: { limits } }) => {
    second?.signal('SIGTERM');
    const end = await second?.endWithin(limits.stopMs);
    await second?.kill();
    return end ? ok(end.reason) : failed(`it still ran ${limits.stopMs} ms later`);
  },
};

export const BESIDE: readonly Check[] = [TWICE, HANDOVER, TERMINATED];

const VERSIONS: Check = {
  name: 'it chooses a version of the protocol that it speaks',
  section: 'The first line',
  expected: 'co2|1|..., where CO2_PROTOCOL_VERSIONS is 2,1',
  advice: 'split CO2_PROTOCOL_VERSIONS at its commas and take the one that the program is written for, 1',
  when: ({ isHttp, isPoll }) => isHttp || isPoll,
  look: async (exam) => {
    exam.third = await greetAnother(exam, { CO2_PROTOCOL_VERSIONS: '2,1' });
    return ok();
  },
};

const ALONE: Check = {
  name: 'without the relay it can be ended',
  section: 'What the relay calls',
  expected: 'its end, by itself or by SIGTERM, when the relay is gone',
  advice: 'end when the relay cannot be reached any more, and leave SIGTERM as it is',
  when: ({ third }) => third !== undefined,
  look: async ({ third, isPoll, parts: { limits, standIn } }) => {
    await standIn.stop();
    // Who has a server need not notice.
    const alone = isPoll ? await third?.endWithin(limits.stopMs) : undefined;
    if (alone) return ok('it ended by itself');
    third?.signal('SIGTERM');
    const end = await third?.endWithin(limits.stopMs);
    await third?.kill();
    if (!end) return failed(`it still ran ${limits.stopMs} ms after SIGTERM`);
    return isPoll ? note('it went on until SIGTERM came', 'end when plugin.next fails') : ok(end.reason);
  },
};

export const AT_LAST: readonly Check[] = [VERSIONS, ALONE];
