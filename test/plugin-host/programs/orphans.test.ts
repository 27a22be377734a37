/** A relay that is killed leaves no programs behind, even those that do not notice. */
import { join } from 'node:path';
import test from 'ava';
import { startCo2 } from '../../support/processes.ts';
import { temporaryDir } from '../../support/relays.ts';
import { FIXTURE, gone, isAlive, pidIn } from './kit.ts';

test('when the relay is killed, a program that ignores SIGTERM and the child of a program end as well', async (t) => {
  const files = temporaryDir(t);
  const [stubborn, child] = [join(files, 'stubborn'), join(files, 'child')];
  const programs = [
    { name: 'ham', exec: process.execPath, args: [FIXTURE, 'ignores-sigterm', stubborn] },
    { name: 'spam', exec: process.execPath, args: [FIXTURE, 'forks', child] },
  ];
  const relay = await startCo2(t, { args: ['start'], files: { 'config.ts': `export default ${JSON.stringify({ programs })};` } });
  t.is(await relay.call('ham.echo', 'there'), 'there');
  t.is(await relay.call('spam.echo', 'there'), 'there');
  const pids = [pidIn(stubborn), pidIn(child)];
  t.deepEqual(pids.map(isAlive), [true, true]);
  relay.kill('SIGKILL');
  await Promise.all(pids.map(gone));
  t.pass();
});

test('a relay that stops leaves no programs behind and exits with code 0', async (t) => {
  const child = join(temporaryDir(t), 'child');
  const programs = [{ name: 'spam', exec: process.execPath, args: [FIXTURE, 'forks', child] }];
  const relay = await startCo2(t, { args: ['start'], files: { 'config.ts': `export default ${JSON.stringify({ programs })};` } });
  relay.kill('SIGTERM');
  t.is((await relay.exit).code, 0);
  t.false(isAlive(pidIn(child)));
});
