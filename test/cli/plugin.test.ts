/** `co2 plugin` as a person types it: tables, answers, the log as it grows, and what is refused. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { FIXTURE } from '../plugin-host/programs/kit.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import type { Exit, RelayProcess } from '../support/processes.ts';

const EAR = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Ear extends Plugin {
  @Exposed() say(text: string) { this.log('said ' + text); }
}
`;
const files = { 'plugins/ham/ear.ts': EAR, 'config.ts': 'export default { allowAddPrograms: true, watch: false, port: 0 };' };

const ask = (t: ExecutionContext, { url, cwd }: RelayProcess, ...args: string[]): Promise<Exit> =>
  runCo2(t, { args: ['plugin', ...args.slice(0, 1), '--url', url, ...args.slice(1)], cwd }).exit;

test.serial('plugins are listed, stopped, started and shown', async (t) => {
  const relay = await startCo2(t, { files });
  const listed = await ask(t, relay, 'list');
  t.deepEqual([listed.code, listed.stderr], [0, []]);
  t.regex(listed.stdout[0]!, /^name +kind +state +version +pid +restarts +held +waiting +kept_versions +last_error$/);
  t.regex(listed.stdout[1]!, /^ham\.ear +inline +ready +- +- +0 +0 +0 +0 +-$/);
  t.regex((await ask(t, relay, 'stop', 'ham.ear')).stdout.join('\n'), /^state +stopped$/m);
  t.regex((await ask(t, relay, 'start', 'ham.ear')).stdout.join('\n'), /^state +ready$/m);
  const info = (await ask(t, relay, 'info', 'ham.ear')).stdout.join('\n');
  t.regex(info, /ham\.ear\.say/);
  t.notRegex(info, /^pid/m);
  const json = JSON.parse((await ask(t, relay, 'info', 'ham.ear', '--json')).stdout.join('\n')) as object;
  t.like(json, { name: 'ham.ear', file: 'ham/ear.ts', methods: ['ham.ear.say'] });
  const wrong = await ask(t, relay, 'stop', 'ham.eer');
  t.deepEqual([wrong.code, wrong.stdout], [1, []]);
  t.regex(wrong.stderr.join('\n'), /^co2: fault -32602: there is no plugin 'ham.eer'; did you mean "ham.ear"\?$/);
  t.is((await ask(t, relay, 'dead-letters')).stdout.join(), '(none)');
  t.regex((await ask(t, relay, 'replay', 'no-such-id')).stderr.join(), /there is no dead letter 'no-such-id'/);
});

test.serial('the log of a plugin is shown and followed', async (t) => {
  const relay = await startCo2(t, { files });
  const say = (text: string): Promise<Exit> => runCo2(t, { args: ['call', '--url', relay.url, 'ham.ear.say', text], cwd: relay.cwd }).exit;
  await say('one');
  t.regex((await ask(t, relay, 'log', 'ham.ear', '-n', '1')).stdout.join('\n'), /^\d{4}-\S+Z info {2}said one$/);
  const follower = runCo2(t, { args: ['plugin', 'log', 'ham.ear', '-f', '--url', relay.url], cwd: relay.cwd });
  await follower.stdout.line(/said one/);
  await say('two');
  t.regex(await follower.stdout.line(/said two/), /info {2}said two$/);
  const all = await runCo2(t, { args: ['log', '--json', '--url', relay.url], cwd: relay.cwd }).exit;
  const lines = JSON.parse(all.stdout.join('')) as readonly { readonly category: string; readonly text: string }[];
  t.true(lines.some(({ category, text }) => category === 'plugin.ham.ear' && text === 'said two'));
  t.true(
    lines.some(({ category }) => !category.startsWith('plugin.')),
    'lines of the relay itself, too',
  );
  const together = runCo2(t, { args: ['log', '-f', '-n', '1', '--url', relay.url], cwd: relay.cwd });
  await together.stdout.line(/said two/);
  await say('three');
  t.regex(await together.stdout.line(/said three/), /info {2}plugin\.ham\.ear {2}said three$/);
  const few = await ask(t, relay, 'log', 'ham.ear', '-n', '0');
  t.is(few.code, 2);
});

test.serial('a program is added with arguments and environment variables, and removed', async (t) => {
  const relay = await startCo2(t, { files });
  const added = await ask(t, relay, 'add', 'frier', '--env', 'PAN=hot', '--setup', '{"pan":2}', process.execPath, '--', FIXTURE, 'good');
  t.deepEqual([added.code, added.stderr], [0, []]);
  t.regex(added.stdout.join('\n'), /^kind +program$/m);
  t.regex(added.stdout.join('\n'), /^pid +[1-9]\d*$/m);
  const { stdout } = await runCo2(t, { args: ['call', '--url', relay.url, 'frier.environment'], cwd: relay.cwd }).exit;
  t.regex(stdout.join('\n'), /PAN/);
  t.deepEqual((await ask(t, relay, 'remove', 'frier')).stdout, ['removed frier']);
  t.is((await ask(t, relay, 'add', 'frier', '--env', 'PAN', 'x')).code, 2);
});

test.serial('a dead letter is still there after the relay was killed, and can be delivered again', async (t) => {
  const config = `export default {
  watch: false,
  programs: [{ name: 'frier', exec: ${JSON.stringify(process.execPath)}, args: [${JSON.stringify(FIXTURE)}, 'good'], send: { astral: false } }],
};`;
  const relay = await startCo2(t, { files: { 'config.ts': config } });
  const sent = await runCo2(t, { args: ['call', '--url', relay.url, 'notify', '{"data":"hot \u{1F373}"}'], cwd: relay.cwd }).exit;
  t.is(sent.code, 0, sent.stderr.join('\n'));
  const letters = async (from: RelayProcess): Promise<Letter[]> =>
    JSON.parse((await ask(t, from, 'dead-letters', '--json')).stdout.join('\n')) as Letter[];
  let [letter] = await letters(relay);
  while (!letter) [letter] = await letters(relay);
  relay.kill('SIGKILL');
  await relay.exit;
  const again = await startCo2(t, { cwd: relay.cwd });
  const [kept] = await letters(again);
  t.deepEqual({ ...kept, age_ms: 0 }, { ...letter, age_ms: 0 });
  t.deepEqual((await ask(t, again, 'drop', letter.id)).stdout, [`dropped ${letter.id}`]);
  t.deepEqual(await letters(again), []);
});

interface Letter {
  readonly id: string;
  readonly age_ms: number;
}
