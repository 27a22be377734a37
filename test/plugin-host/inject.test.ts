/** Injection into constructors, and the errors for what cannot be injected. */
import test from 'ava';
import { satelliteSource, started } from './kit.ts';

const CHAIN = {
  'ham/_parts.ts': `import { Inject, Injectable, LOGGER, type Logger } from 'co2-relay';
    export const made: string[] = [];
    export class Sensor { constructor() { made.push('Sensor'); } }
    @Injectable() export class Thermometer {
      constructor(readonly sensor: Sensor, @Inject(LOGGER) readonly logger: Logger) { made.push('Thermometer'); }
    }`,
  'ham/spam.ts': satelliteSource(
    'Spam',
    `  constructor(private readonly thermometer: Thermometer, private readonly sensor: Sensor, @Inject(LOGGER) private readonly logger: Logger) { super(); }
  @Exposed() made() { return made; }
  @Exposed() same() { return this.thermometer.sensor === this.sensor; }
  @Exposed() write() { this.logger.warn('from the satellite'); this.thermometer.logger.info('from the helper'); }`,
    `import { made, Sensor, Thermometer } from './_parts.ts'; import type { Logger } from 'co2-relay';`,
  ),
};

test('helpers are made deepest first and once per plugin; the logger writes to the plugin’s category', async (t) => {
  const { call, lines } = await started(t, CHAIN);
  t.deepEqual(await call('ham.spam.made'), ['Sensor', 'Thermometer']);
  t.true(await call('ham.spam.same'));
  await call('ham.spam.write');
  t.true(lines.all.includes('warn plugin.ham.spam: from the satellite'));
  t.true(lines.all.includes('info plugin.ham.spam: from the helper'));
});

test('two hosts over the same files share classes, and no instances', async (t) => {
  const source = satelliteSource(
    'Spam',
    `  constructor(private readonly counter: Counter) { super(); }
  @Exposed() next() { return ++this.counter.n; }`,
    'class Counter { n = 0; }',
  );
  const one = await started(t, { 'ham/spam.ts': source });
  const two = await started(t, one.directory);
  t.is(await one.call('ham.spam.next'), 1);
  t.is(await one.call('ham.spam.next'), 2);
  t.is(await two.call('ham.spam.next'), 1);
});

test('a parameter of type Logger gets the logger, and a subclass without a constructor gets the parameters of its base class', async (t) => {
  const source = satelliteSource(
    'Spam',
    `  constructor(readonly logger: Logger) { super(); }
  @Exposed() write() { this.logger.info('written'); }`,
    `import { Logger } from 'co2-relay';`,
  );
  const { call, lines } = await started(t, {
    'ham/spam.ts': `${source} @Satellite() export class Heir extends Spam { @Exposed() heir() { this.logger.info('inherited'); } }`,
  });
  await call('ham.spam.write');
  await call('ham.spam.heir');
  t.true(lines.all.includes('info plugin.ham.spam: written'));
  t.true(lines.all.includes('info plugin.ham.spam: inherited'));
});

test('a parameter that cannot be injected is reported by class and position, and the other satellites run', async (t) => {
  const taking = (parameters: string, head = ''): string => satelliteSource('Bad', `  constructor(${parameters}) { super(); }`, head);
  const { problems, names } = await started(t, {
    'bad/union.ts': taking('readonly a: string | number'),
    'bad/text.ts': taking('readonly fine: Helper, readonly a: string', 'class Helper {}'),
    'bad/token.ts': taking(`@Inject(Symbol('database')) readonly db: object`),
    'bad/helper.ts': taking('readonly helper: Helper', 'class Helper { constructor(readonly x: Date) {} }'),
    'bad/circle.ts': taking(
      'readonly a: A',
      `class A { constructor(readonly b: unknown) {} } class B { constructor(readonly a: unknown) {} }
      Inject(B)(A, undefined, 0); Inject(A)(B, undefined, 0);`,
    ),
    'bad/throws.ts': taking('readonly a: A', `class A {\n  constructor() { throw new Error('no sensor'); }\n}`),
    ...CHAIN,
  });
  const reasons = problems();
  t.is(
    reasons['bad/union.ts'],
    'bad.union.Bad: parameter 1 of the constructor of Bad has the type Object (an interface, a union, or a class that is imported as a type only), which cannot be injected; name a token: @Inject(...)',
  );
  t.regex(reasons['bad/text.ts'] ?? '', /parameter 2 of the constructor of Bad has the type String/);
  t.regex(reasons['bad/token.ts'] ?? '', /parameter 1 .*Symbol\(database\), but nothing is registered/);
  t.regex(reasons['bad/helper.ts'] ?? '', /parameter 1 of the constructor of Helper has no known type; decorate Helper with @Injectable/);
  t.regex(reasons['bad/circle.ts'] ?? '', /circular dependency: the constructor of A needs B needs A/);
  t.is(reasons['bad/throws.ts:4'], 'bad.throws.Bad: no sensor');
  t.is(names().length, 3);
});
