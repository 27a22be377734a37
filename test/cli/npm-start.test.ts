/** `npm start` in a checkout, as a supervisor runs it: a signal to npm ends the relay in order. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT_DIR, run } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { noting } from './plugins.ts';

test('SIGTERM to npm start stops the relay in order', async (t) => {
  const directory = pluginsDir(t, { 'plugins/a/one.ts': noting('one') });
  const args = ['start', '--', '--port', '0', '--data', join(directory, 'state'), '--plugins', join(directory, 'plugins')];
  const npm = run(t, 'npm', args, { cwd: PROJECT_DIR, env: { NOTES: join(directory, 'notes') } });
  const port = Number(/listening on http:..127\.0\.0\.1:(\d+)/.exec(await npm.stdout.line(/listening on/))?.[1]);
  npm.kill('SIGTERM');
  // Its outputs end when the last process that has them does.
  const { stderr } = await npm.exit;
  t.true(
    stderr.some((line) => line.endsWith(' INFO app SIGTERM: stopping')),
    stderr.join('\n'),
  );
  t.true(stderr.some((line) => line.endsWith(' INFO app stopped')));
  const again = createServer().listen(port, '127.0.0.1');
  await once(again, 'listening');
  await new Promise((resolve) => again.close(resolve));
});
