/** Reconfiguring a running relay: which options take effect at once, and which are reported as needing a restart. */
import test from 'ava';
import { startRelay } from '../support/relays.ts';

test('rights, multicall, maintainer, proxies and origins change at run time; the port and the tokens do not', async (t) => {
  const relay = await startRelay(t, { maintainer: 'ann' });
  const two = [
    { methodName: 'ping', params: [] },
    { methodName: 'ping', params: [] },
  ];
  t.deepEqual(await relay.call('system.multicall', two), [[true], [true]]);
  t.true(await relay.call('notify', { data: 1 }));
  const changes = { maintainer: 'bob', maxMulticall: 1, access: { local: ['read'] as const, tokens: { ci: { env: 'CI' } } }, port: 1 };
  const { tookEffect, needsRestart } = relay.reconfigure(changes);
  t.true(
    ['maintainer', 'maxMulticall', 'access.local'].every((key) => tookEffect.includes(key)),
    tookEffect.join(),
  );
  t.true(
    ['port', 'access.tokens'].every((key) => needsRestart.includes(key)),
    needsRestart.join(),
  );
  t.like(await relay.call('system.get_properties'), { maintainer: 'bob' });
  await t.throwsAsync(relay.call('system.multicall', two), { code: 413 } as never);
  await t.throwsAsync(relay.call('notify', { data: 1 }), { code: 403 } as never);

  relay.reconfigure({ ...changes, trustedProxies: ['127.0.0.0/8'], allowedOrigins: ['https://panel.example'] });
  const answers = async (headers: Record<string, string>): Promise<number> => (await fetch(relay.url, { headers })).status;
  t.is(await answers({ origin: 'https://panel.example' }), 200);
  t.is(await answers({ origin: 'https://other.example' }), 403);

  const wrong = { maintainer: 'eve', maxMulticall: 0 };
  t.like(
    t.throws(() => relay.reconfigure(wrong)),
    { code: 'CONFIG_INVALID', message: 'reconfigure: maxMulticall: found 0, expected at least 1' },
  );
  t.like(await relay.call('system.get_properties'), { maintainer: 'bob' });
  t.true(relay.reconfigure({}).tookEffect.includes('maintainer'));
  t.like(await relay.call('system.get_properties'), { maintainer: '' });
});
