/** A running relay takes new options: what takes effect at once, and what is told to need a restart. */
import test from 'ava';
import type { Config } from '../../src/app.ts';
import { completeOptions } from '../../src/define-config/define-config.ts';
import type { Options } from '../../src/define-config/define-config.ts';
import { startRelay } from '../support/relays.ts';

const optionsOf = (values: Config): Options => completeOptions([{ values, baseDir: '/', nameOf: (key) => key }], '/').options;

test('rights, multicall, maintainer, proxies and origins change while it runs; the port and the tokens do not', async (t) => {
  const relay = await startRelay(t, { maintainer: 'ann' });
  const two = [
    { methodName: 'ping', params: [] },
    { methodName: 'ping', params: [] },
  ];
  t.deepEqual(await relay.call('system.multicall', two), [[true], [true]]);
  t.true(await relay.call('notify', { data: 1 }));
  const changes = { maintainer: 'bob', maxMulticall: 1, access: { local: ['read'] as const, tokens: { ci: { env: 'CI' } } }, port: 1 };
  const { tookEffect, needsRestart } = relay.reconfigure(optionsOf(changes));
  t.true(
    ['maintainer', 'maxMulticall', 'access.local'].every((key) => tookEffect.includes(key)),
    tookEffect.join(),
  );
  t.true(
    ['port', 'access.tokens'].every((key) => needsRestart.includes(key)),
    needsRestart.join(),
  );
  t.like(await relay.call('system.get_properties'), { maintainer: 'bob' });
  await t.throwsAsync(relay.call('system.multicall', two), { message: /at most 1 are allowed/ });
  await t.throwsAsync(relay.call('notify', { data: 1 }), { message: /needs the right 'message'/ });

  relay.reconfigure(optionsOf({ ...changes, trustedProxies: ['127.0.0.0/8'], allowedOrigins: ['https://panel.example'] }));
  const answers = async (headers: Record<string, string>): Promise<number> => (await fetch(relay.url, { headers })).status;
  t.is(await answers({ origin: 'https://panel.example' }), 200);
  t.is(await answers({ origin: 'https://other.example' }), 403);
});
