/** The requests of Robot Framework's Remote library, made with Python's standard library, against a real relay. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { run, startCo2 } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';

const PLUGIN = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin {
  /** Adds. */
  @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a, b) { return a + b; }
  @Exposed() echo(...all) { return all; }
  @Exposed({ params: ['string'], returns: 'string' }) shout(text) { return text.toUpperCase().replace(/[^A-Z ]/g, '?'); }
  @Exposed() nothing() { return null; }
  @Exposed() big() { return 2n ** 60n; }
  @Exposed() faults() { throw new Fault(42, 'no such room'); }
  @Exposed() breaks() { throw new Error('/etc/secret'); }
}`;

test.serial('keywords are listed, run and fail as Robot Framework expects', async (t) => {
  const relay = await startCo2(t, { args: ['--plugins', pluginsDir(t, { 'ham/spam.ts': PLUGIN })] });
  const script = fileURLToPath(new URL('robot.py', import.meta.url));
  const { code, stdout, stderr } = await run(t, 'python3', [script, relay.url]).exit;
  t.is(code, 0, stderr.join('\n'));
  t.deepEqual(stdout, ['keywords ok', 'runs ok', 'failures ok']);
});
