/** Runs each example by the command in its README. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { freePorts } from '../support/relays.ts';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';

const readme = (example: string): string => readFileSync(join(PROJECT_DIR, 'examples', example, 'README.md'), 'utf8');

test.serial('relay-pair: B receives what is sent to A; Ctrl-C stops it', async (t) => {
  t.true(readme('relay-pair').includes('`npm run example:pair`'));
  const { scripts } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const [program = '', ...args] = (scripts['example:pair'] ?? '').split(' ');
  t.is(program, 'node', 'package.json has the script example:pair');
  const [a, b] = await freePorts(2);
  const pair = run(t, process.execPath, [...args, String(a), String(b)], { cwd: PROJECT_DIR });
  t.regex(await pair.stdout.line(/^A is /), new RegExp(`^A is http://127\\.0\\.0\\.1:${a!}, B is http://127\\.0\\.0\\.1:${b!}\\.`));
  const client = new XmlRpcClient(new URL(`http://127.0.0.1:${a!}`));
  t.teardown(() => client.close());
  t.true(await client.call('notify', [{ data: 'hello' }]));
  t.regex(await pair.stdout.line(/^A hears/), /^A hears "hello" of "?[0-9a-f]+@127\.0\.0\.1:0"? after 0 hops$/);
  t.regex(await pair.stdout.line(/^B hears/), /^B hears "hello" of "?[0-9a-f]+@127\.0\.0\.1:0"? after 1 hops$/);
  pair.kill('SIGINT');
  t.like(await pair.exit, { code: 0, signal: null });
});

test.serial('load: B shows the load that A records; Ctrl-C stops it', async (t) => {
  t.true(readme('load').includes('`npm run example:load`'));
  const { scripts } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const [, ...args] = (scripts['example:load'] ?? '').split(' ');
  const [a, b] = await freePorts(2);
  const pair = run(t, process.execPath, [...args, String(a), String(b)], { cwd: PROJECT_DIR });
  const shown = new RegExp(`^B shows http://127\\.0\\.0\\.1:${a!}: load \\d+\\.\\d\\d, [\\d.]+ of [\\d.]+ GiB free, / \\d+ % free$`);
  t.regex(await pair.stdout.line(/^B shows/), shown);
  const client = new XmlRpcClient(new URL(`http://127.0.0.1:${b!}`));
  t.teardown(() => client.close());
  t.deepEqual(Object.keys((await client.call('load.display.latest')) as object), [`127.0.0.1:${a!}`]);
  pair.kill('SIGINT');
  t.like(await pair.exit, { code: 0, signal: null });
});

test.serial('mesh: a dict takes another way when a relay stops, and waits for one that is down; Ctrl-C stops all', async (t) => {
  t.true(readme('mesh').includes('`npm run example:mesh`'));
  const { scripts } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const [, ...args] = (scripts['example:mesh'] ?? '').split(' ');
  const ports = (await freePorts(4)).map(String);
  const { stdout, ...mesh } = run(t, process.execPath, [...args, ...ports], { cwd: PROJECT_DIR });
  await stdout.line(/^ {2}from attic to shed: 2 links, the first to (cellar|garden)$/);
  for (const name of ['cellar', 'garden', 'shed']) await stdout.line(new RegExp(`^ {2}${name} hears "hello" after [12] hops?$`));
  await stdout.line(/^ {2}shed hears "this goes by the garden" after 2 hops$/);
  await stdout.line(/^ {2}shed hears "you were away" after [12] hops?$/);
  t.true((await stdout.line(/^ {2}curl /)).includes(`http://127.0.0.1:${ports[0]!}/api/mesh.voice.say`));
  mesh.kill('SIGINT');
  t.like(await mesh.exit, { code: 0, signal: null });
});

test.serial('xmlrpc-client: lists, calls, notifies, and shows a fault', async (t) => {
  const relay = await startCo2(t, { args: ['--plugins', join(PROJECT_DIR, 'plugins')] });
  const [, line = ''] = /`node (examples\/xmlrpc-client\/\S+ http:\/\/127\.0\.0\.1:2004)`/.exec(readme('xmlrpc-client')) ?? [];
  const args = line.replace('http://127.0.0.1:2004', relay.url).split(' ');
  const { code, stdout, stderr } = await run(t, process.execPath, args, { cwd: PROJECT_DIR }).exit;
  t.deepEqual({ code, stderr }, { code: 0, stderr: [] });
  t.is(stdout.length, 4);
  t.regex(stdout[0]!, /^\d+ methods, among them example\.echo\.add, example\.echo\.say$/);
  t.deepEqual(stdout.slice(1, 3), ['2 + 3 = 5', 'notify: true']);
  t.regex(stdout[3]!, /^fault -32601: /);
});

test.serial('plugin-with-config: it is fed, warns the network once, and a configuration that does not fit stops the start', async (t) => {
  const [, flags = ''] = /`npm start -- ([^`]+)`/.exec(readme('plugin-with-config')) ?? [];
  t.is(flags, '--plugins examples/plugin-with-config/plugins');
  const args = ['--plugins', join(PROJECT_DIR, 'examples/plugin-with-config/plugins')];
  const relay = await startCo2(t, { args: [...args, '--log-level', 'debug'] });
  await relay.stderr.line(/INFO plugin\.greenhouse\.alarm watches the north wing, warns from 30/);
  t.is(await relay.call('greenhouse.alarm.feed', 31.5), 31.5);
  t.is(await relay.call('greenhouse.alarm.feed', 32.5), 32);
  await relay.stderr.line(/DEBUG relay sent .* by greenhouse\.alarm\.Alarm$/);
  t.is(relay.stderr.all.filter((line) => line.includes(' DEBUG relay sent ')).length, 1);

  const wrong = { 'config.ts': `export default { plugins: { 'greenhouse.alarm': { name: 'south', highCelsius: 'hot' } } };` };
  const refused = await t.throwsAsync(startCo2(t, { args, files: wrong }));
  t.regex(
    refused.message,
    /co2: plugin greenhouse\.alarm\.Alarm: key "highCelsius".*found 'hot' \(plugins\['greenhouse\.alarm'\] in config\.ts\)/,
  );
});
