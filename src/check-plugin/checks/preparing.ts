/** The four calls by which a program gets ready: versions, what it can do, its configuration. */
import semver from 'semver';
import { Fault, clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { VALUE_TYPES, readDescription, readVersion, saysMissing, whyUnfit } from '../../plugin-host/programs/internal.ts';
import type { Check, Exam } from '../exam.ts';
import { failed, note, ok } from '../outcome.ts';

const SECTION = 'What the relay calls';
const MISSING = 'it has none, which is fine';
const CAPABILITIES: readonly string[] = ['receive', 'exposed', 'handover'];

/** Its answer, or undefined if it has no such method. */
async function ask({ main, parts: { limits } }: Exam, method: string, params: readonly Sendable[]): Promise<Value | undefined> {
  return main.call(method, params, limits.setupMs).catch((error: unknown) => {
    if (saysMissing(error, method)) return undefined;
    throw error;
  });
}

const PUSH_VERSION: Check = {
  name: 'plugin.push_version takes the version of the relay',
  section: SECTION,
  expected: 'any answer, or fault -32601',
  advice: 'take one parameter, a string, and answer true; or answer fault -32601',
  needsMain: true,
  isVital: true,
  look: async (exam) => ok((await ask(exam, 'plugin.push_version', [exam.parts.version])) === undefined ? MISSING : undefined),
};

const GET_VERSION: Check = {
  name: 'plugin.get_version says which it is, and fits',
  section: SECTION,
  expected: '{version: string, requires: string}, each may be left out, and a range that this relay is in; or fault -32601',
  advice: 'answer for example {version: "1.2.0", requires: ">=0.1.0"}',
  needsMain: true,
  isVital: true,
  look: async (exam) => {
    const answer = await ask(exam, 'plugin.get_version', []);
    if (answer === undefined) return ok(MISSING);
    const own = readVersion(answer);
    const unfit = whyUnfit(own, exam.parts.version);
    if (unfit !== undefined) return failed(unfit, 'let requires be a range that this relay is in, or run it with another relay');
    if (own.version !== undefined && semver.valid(own.version) === null)
      return note(`its version is '${own.version}'`, 'write it as npm does: 1.2.0');
    return ok(own.version === undefined ? undefined : `version ${own.version}`);
  },
};

const DESCRIBE: Check = {
  name: 'plugin.describe says what it can do',
  section: SECTION,
  expected: '{capabilities: [string, ...], methods: [{name, help, signature, access}, ...]}, or fault -32601',
  advice: "name each method in full, with the program's name from CO2_PLUGIN_NAME and a dot before it",
  needsMain: true,
  isVital: true,
  look: async (exam) => {
    const { name } = exam.parts.record;
    const answer = await ask(exam, 'plugin.describe', []);
    if (answer === undefined) return ok('it has none: it receives messages, and has no methods');
    const description = readDescription(name, answer);
    exam.description = description;
    const names = description.methods.map((method) => method.name);
    return ok(
      `${[...description.capabilities].map((word) => clean(word, 40)).join(', ') || 'no capabilities'}; ${names.slice(0, 20).join(', ') || 'no methods'}`,
    );
  },
};

const TYPES: Check = {
  name: 'the types of its signatures are known',
  section: SECTION,
  expected: `types of this list: ${Object.keys(VALUE_TYPES)
    .filter((type) => type !== 'i4')
    .join(', ')}`,
  advice: 'name the result first, then each parameter; take any where a type is not known',
  needsMain: true,
  when: ({ description }) => (description?.methods.length ?? 0) > 0,
  look: async ({ description }) => {
    for (const { name, signature = [] } of description?.methods ?? []) {
      const unknown = signature.flat().find((type) => !Object.hasOwn(VALUE_TYPES, type));
      if (unknown !== undefined) return failed(`${name} has '${clean(unknown, 40)}'`);
    }
    return ok();
  },
};

const WORDS: Check = {
  name: 'its capabilities and methods go together',
  section: SECTION,
  expected: `capabilities of this list: ${CAPABILITIES.join(', ')}; exposed where it has methods; a help text for each`,
  advice: 'the relay leaves other words alone',
  needsMain: true,
  when: ({ description }) => description !== undefined,
  look: async ({ description }) => {
    const { capabilities, methods } = description ?? { capabilities: new Set<string>(), methods: [] };
    const unknown = [...capabilities].find((word) => !CAPABILITIES.includes(word));
    if (unknown !== undefined) return note(`it says '${clean(unknown, 40)}'`);
    if (methods.length > 0 && !capabilities.has('exposed'))
      return note('it has methods, and does not say exposed', 'add exposed to the capabilities');
    const helpless = methods.find(({ help }) => help === '');
    if (helpless) return note(`${helpless.name} has no help`, 'write for people what it does');
    return ok();
  },
};

const SETUP: Check = {
  name: 'plugin.setup takes its configuration',
  section: SECTION,
  expected: 'anything but false, or fault -32601',
  advice: 'if it needs a configuration, say which in the text of the fault, and give it here with --config',
  needsMain: true,
  isVital: true,
  look: async (exam) => {
    const { config } = exam.parts.record;
    try {
      const answer = await ask(exam, 'plugin.setup', [config as Sendable]);
      if (answer === false) return failed('it answered false: it refuses its configuration', 'answer a fault whose text says why');
      return ok(answer === undefined ? MISSING : isEmpty(config) ? 'an empty one' : undefined);
    } catch (error) {
      if (Fault.is(error) && isEmpty(config))
        return failed(`an empty configuration is refused by fault ${error.code}: ${clean(error.message)}`);
      throw error;
    }
  },
};

function isEmpty(config: unknown): boolean {
  return (config instanceof Map && config.size === 0) || (isDict(config) && Object.keys(config).length === 0);
}

export const PREPARING: readonly Check[] = [PUSH_VERSION, GET_VERSION, DESCRIBE, TYPES, WORDS, SETUP];
