/**
 * What the author of a plugin reads when something is written wrongly: file, line, what, and how it is right. Types are not checked when a
 * plugin runs.
 */
import test from 'ava';
import { createTestRelay } from 'co2-relay/testing';
import { rejects } from '../support/relay-error.ts';
import { pluginsDir } from '../support/relays.ts';

const spam = (exposed: string, satellite = '@Satellite()', head = '', constructor = ''): string => `
import { Exposed, Inject, Plugin, Satellite } from 'co2-relay';
${head}
${satellite}
export class Spam extends Plugin {
  ${constructor}
  ${exposed}
  add(a: number, b: number) { return a + b; }
}
`;

const MISTAKES: readonly [what: string, source: string, says: string][] = [
  [
    'a misspelt option of @Exposed',
    spam(`@Exposed({ parms: ['int', 'int'] })`),
    '@Exposed on Spam.add: there is no option "parms"; did you mean "params"?',
  ],
  [
    'an option that there is not',
    spam(`@Exposed({ name: 'plus' })`),
    '@Exposed on Spam.add: there is no option "name"; known: params, returns, schema, access',
  ],
  [
    'a type instead of a list of them',
    spam(`@Exposed({ params: 'int' })`),
    "@Exposed on Spam.add: params: found a string, expected a list of types, one for each parameter: ['int', 'string']",
  ],
  [
    'a list instead of a type',
    spam(`@Exposed({ returns: ['int'] })`),
    "@Exposed on Spam.add: returns: found an array, expected the name of one type: 'int'",
  ],
  [
    "a method that replaces the plugin's own",
    spam('@Exposed()').replace('add(', 'send('),
    '@Exposed on Spam.send: this would replace a method that every plugin has; give it another name',
  ],
  [
    'a misspelt isolation',
    spam('', `@Satellite({ isolation: 'chlid' })`),
    "@Satellite on Spam: isolation: found 'chlid', expected 'inline' or 'child'",
  ],
  [
    'an isolation of another type',
    spam('', '@Satellite({ isolation: true })'),
    "@Satellite on Spam: isolation: found true, expected 'inline' or 'child'",
  ],
  [
    'a misspelt type',
    spam(`@Exposed({ params: ['strin', 'int'] })`),
    '@Exposed on Spam.add: there is no type "strin"; did you mean "string"?',
  ],
  [
    'a schema that is none',
    spam(`@Exposed({ schema: { a: 'int' } })`),
    "@Exposed on Spam.add: schema: found an object, expected a schema, such as zod's: z.object({ ... })",
  ],
  [
    'a name instead of options',
    spam(`@Exposed('plus')`),
    '@Exposed on Spam.add: found a string, expected an object of options (params, returns, schema, access)',
  ],
  [
    'a misspelt option of @Satellite',
    spam('', '@Satellite({ confg: {} })'),
    '@Satellite on Spam: there is no option "confg"; did you mean "config"?',
  ],
  [
    'a configuration instead of its schema',
    spam('', `@Satellite({ config: { colour: 'red' } })`),
    "@Satellite on Spam: config: found an object, expected a schema, such as zod's: z.object({ ... })",
  ],
  [
    'a class that is injected before it is there',
    spam('', '@Satellite()', 'let Scale: undefined;', 'constructor(@Inject(Scale) readonly scale: object) { super(); }'),
    '@Inject(undefined): the token is undefined; import the class itself, not as a type, and avoid circular imports',
  ],
  [
    'a decorator that there is not',
    spam('@Expose()').replace('Exposed,', 'Expose,'),
    "The requested module 'co2-relay' does not provide an export named 'Expose'; if Expose is a type, write: import type { Expose } from 'co2-relay'",
  ],
];

for (const [what, source, says] of MISTAKES) {
  test(`${what} is told with its place`, async (t) => {
    const error = await rejects(t, createTestRelay({ pluginsDir: pluginsDir(t, { 'ham/spam.ts': source }) }), 'PLUGIN_REFUSED');
    t.regex(error.message, /^createTestRelay: ham\/spam\.ts(:\d+)?: /);
    t.is(error.message.replace(/^\S+ \S+ /, ''), says);
  });
}

test('a forgotten export is a warning with a question', async (t) => {
  const relay = await createTestRelay({
    pluginsDir: pluginsDir(t, { 'ham/spam.ts': spam('@Exposed()').replace('export class', 'class') }),
  });
  t.teardown(() => relay.stop());
  t.true(
    relay.logs.some(
      ({ level, text }) =>
        level === 'warn' &&
        text ===
          'ham/spam.ts: it does not export a class decorated with @Satellite, so it does nothing; is the decorator missing, or the word export?',
    ),
  );
});

test('valid decorators are accepted: bare, called, with empty and with undefined options', async (t) => {
  const source = spam('@Exposed({ params: undefined, returns: undefined, access: undefined })', '@Satellite({ config: undefined })');
  const relay = await createTestRelay({
    pluginsDir: pluginsDir(t, { 'ham/spam.ts': source, 'ham/bare.ts': spam('@Exposed', '@Satellite') }),
  });
  t.teardown(() => relay.stop());
  t.is(await relay.call('ham.spam.add', [1, 2]), 3);
  t.is(await relay.call('ham.bare.add', [1, 2]), 3);
});
