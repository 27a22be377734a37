/** The suites validator1 and interopEchoTests, run by Python's xmlrpc.client against the bundled plugins of a real relay. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';

test.serial("Python's xmlrpc.client gets from validator1 and interopEchoTests what the suites expect", async (t) => {
  const relay = await startCo2(t, { args: ['--plugins', join(PROJECT_DIR, 'plugins')] });
  const script = fileURLToPath(new URL('validate.py', import.meta.url));
  const { code, stdout, stderr } = await run(t, 'python3', [script, relay.url]).exit;
  t.is(code, 0, stderr.join('\n'));
  t.deepEqual(stdout, ['validator1 ok', 'interopEchoTests ok']);
});
