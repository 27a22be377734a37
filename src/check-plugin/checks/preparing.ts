/** Checks of the four calls that prepare a program: versions, description and configuration. */
import semver from 'semver';
import { Fault, clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { VALUE_TYPES, readDescription, readVersion, saysMissing, incompatibility } from '../../plugin-host/programs/internal.ts';
import type { Check, Exam } from '../exam.ts';
import { failed, note, ok } from '../outcome.ts';

const SECTION = 'What the relay calls';
const MISSING = 'the program does not have it, which is allowed';
const CAPABILITIES: readonly string[] = [
  ...['receive', 'exposed', 'handover', 'work', 'datasource', 'controller', 'services', 'on_delivery'],
];

/** Calls a method; resolves to undefined if the program does not have it. */
async function ask({ main, parts: { limits } }: Exam, method: string, params: readonly Sendable[]): Promise<Value | undefined> {
  return main.call(method, params, limits.setupMs).catch((error: unknown) => {
    if (saysMissing(error, method)) return undefined;
    throw error;
  });
}

const PUSH_VERSION: Check = {
  name: 'plugin.push_version accepts the version of the relay',
  section: SECTION,
  expected: 'any answer, or fault -32601',
  advice: 'accept one parameter, a string, and answer true; or answer fault -32601',
  needsMain: true,
  isVital: true,
  run: async (exam) => ok((await ask(exam, 'plugin.push_version', [exam.parts.version])) === undefined ? MISSING : undefined),
};

const GET_VERSION: Check = {
  name: 'plugin.get_version returns a compatible version',
  section: SECTION,
  expected: '{version: string, requires: string}, both optional, with a range that includes this relay; or fault -32601',
  advice: 'answer for example {version: "1.2.0", requires: ">=0.1.0"}',
  needsMain: true,
  isVital: true,
  run: async (exam) => {
    const answer = await ask(exam, 'plugin.get_version', []);
    if (answer === undefined) return ok(MISSING);
    const own = readVersion(answer);
    const reason = incompatibility(own, exam.parts.version);
    if (reason !== undefined) return failed(reason, 'let requires be a range that includes this relay, or use another relay');
    if (own.version !== undefined && semver.valid(own.version) === null)
      return note(`its version is '${own.version}'`, 'write it as npm does: 1.2.0');
    return ok(own.version === undefined ? undefined : `version ${own.version}`);
  },
};

const DESCRIBE: Check = {
  name: 'plugin.describe returns its capabilities and methods',
  section: SECTION,
  expected: '{capabilities: [string, ...], methods: [{name, help, signature, access}, ...]}, or fault -32601',
  advice: "name each method in full, with the program's name from CO2_PLUGIN_NAME and a dot before it",
  needsMain: true,
  isVital: true,
  run: async (exam) => {
    const { name } = exam.parts.record;
    const answer = await ask(exam, 'plugin.describe', []);
    if (answer === undefined) return ok('the program does not have it: it receives messages, and has no methods');
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
  advice: 'name the type of the result first, then that of each parameter; use any if a type is unknown',
  needsMain: true,
  when: ({ description }) => (description?.methods.length ?? 0) > 0,
  run: async ({ description }) => {
    for (const { name, signature = [] } of description?.methods ?? []) {
      const unknown = signature.flat().find((type) => !Object.hasOwn(VALUE_TYPES, type));
      if (unknown !== undefined) return failed(`${name} has '${clean(unknown, 40)}'`);
    }
    return ok();
  },
};

const WORDS: Check = {
  name: 'its capabilities match its methods',
  section: SECTION,
  expected: `capabilities of this list: ${CAPABILITIES.join(', ')}; exposed if it has methods; a help text for each method`,
  advice: 'the relay ignores unknown capabilities',
  needsMain: true,
  when: ({ description }) => description !== undefined,
  run: async ({ description }) => {
    const { capabilities, methods } = description ?? { capabilities: new Set<string>(), methods: [] };
    const unknown = [...capabilities].find((word) => !CAPABILITIES.includes(word));
    if (unknown !== undefined) return note(`the capability '${clean(unknown, 40)}'`);
    if (methods.length > 0 && !capabilities.has('exposed'))
      return note('it has methods, but not the capability exposed', 'add exposed to the capabilities');
    const helpless = methods.find(({ help }) => help === '');
    if (helpless) return note(`${helpless.name} has no help text`, 'describe what the method does');
    return ok();
  },
};

const SETUP: Check = {
  name: 'plugin.setup accepts its configuration',
  section: SECTION,
  expected: 'anything but false, or fault -32601',
  advice: 'if it needs a configuration, say which in the text of the fault, and pass it here with --config',
  needsMain: true,
  isVital: true,
  run: async (exam) => {
    const { config } = exam.parts.record;
    try {
      const answer = await ask(exam, 'plugin.setup', [config as Sendable]);
      if (answer === false) return failed('it answered false, which rejects its configuration', 'answer with a fault whose text says why');
      return ok(answer === undefined ? MISSING : isEmpty(config) ? 'an empty configuration' : undefined);
    } catch (error) {
      if (Fault.is(error) && isEmpty(config))
        return failed(`it rejects an empty configuration with fault ${error.code}: ${clean(error.message)}`);
      throw error;
    }
  },
};

function isEmpty(config: unknown): boolean {
  return (config instanceof Map && config.size === 0) || (isDict(config) && Object.keys(config).length === 0);
}

/** The checks of this file. */
export const PREPARING: readonly Check[] = [PUSH_VERSION, GET_VERSION, DESCRIBE, TYPES, WORDS, SETUP];
