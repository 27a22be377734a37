/** Every role against every class, and the way out that a refusal names. */
import test from 'ava';
import { Access } from '../../src/access/roles.ts';
import { ACCESS_CLASSES } from '../../src/core/core.ts';
import type { AccessClass } from '../../src/core/core.ts';
import { relayDefaults } from '../../src/relay/relay.ts';
import type { Role } from '../../src/access/roles.ts';
import { callerOf, makeHeart, received } from '../relay/heart.ts';

// The table of roles.
const MAY: Readonly<Record<Role['kind'], readonly AccessClass[]>> = {
  token: ['read', 'message', 'call', 'admin'],
  peer: ['read', 'message', 'call'],
  satellite: ['read', 'message', 'call'],
  plugin: ['read', 'message', 'call'],
  local: ['read', 'message', 'call'],
  anonymous: ['read'],
};

for (const [kind, allowed] of Object.entries(MAY) as [Role['kind'], readonly AccessClass[]][]) {
  for (const needed of ACCESS_CLASSES) {
    test(`${kind} ${allowed.includes(needed) ? 'may' : 'may not'} ${needed}`, (t) => {
      const access = new Access(relayDefaults.access);
      const check = (): void => {
        access.check(callerOf(kind), 'some.method', needed);
      };
      if (allowed.includes(needed)) {
        t.notThrows(check);
        return;
      }
      const error = t.throws(check);
      t.like(error, { code: 'FORBIDDEN', fault: 403 });
      t.true(error.message.includes('some.method') && error.message.includes(`'${needed}'`), error.message);
      t.regex(error.message, /present a token/);
      t.is(error.message.includes('access.anonymous'), kind === 'anonymous' && needed !== 'admin');
    });
  }
}

for (const added of ACCESS_CLASSES) {
  test(`access.anonymous ['${added}'] opens that to strangers and nothing else but read`, (t) => {
    const access = new Access({ ...relayDefaults.access, anonymous: [added] });
    for (const needed of ACCESS_CLASSES) {
      const check = (): void => {
        access.check(callerOf('anonymous'), 'm', needed);
      };
      if (needed === added || needed === 'read') t.notThrows(check);
      else t.throws(check);
    }
  });
}

test('the refusal comes before the method runs, nested or not', async (t) => {
  let runs = 0;
  const heart = makeHeart({}, [{ name: 'ham.spam.run', invoke: async () => ++runs }]);
  const stranger = callerOf('anonymous');
  await t.throwsAsync(heart.call('ham.spam.run', [], stranger), { code: 'FORBIDDEN', message: /'call'/ });
  await t.throwsAsync(heart.call('method_call', [received({ method_name: 'ham.spam.run' })], stranger), {
    code: 'FORBIDDEN',
    message: /'call'/,
  });
  const [inner] = (await heart.call('system.multicall', [[received({ methodName: 'ham.spam.run', params: [] })]], stranger)) as [object];
  t.like(inner, { faultCode: 403 });
  await t.throwsAsync(heart.call('notify', [received({ data: 1 })], stranger), { code: 'FORBIDDEN', message: /'message'/ });
  t.is(runs, 0);
  t.is(heart.delivered.length, 0);
  t.is(await heart.call('ham.spam.run', [], callerOf('token')), 1);
});
