/** Saves that truncate a file before they write it, during calls and dicts: no call fails, no dict is lost, the state is kept. */
import { open, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { pluginsDir, startRelay } from '../support/relays.ts';

/** For a longer run: `SAVES=1000 npx ava --timeout=30m test/journey/truncating-saves.test.ts`. */
const SAVES = Number(process.env.SAVES ?? 60);

function source(version: number, options: string): string {
  return `import { Dict, Exposed, Plugin, Satellite } from 'co2-relay';
import { word } from './_word.ts';

@Satellite(${options})
export class Spam extends Plugin {
  seen: unknown[] = [];
  receive(dict: Dict) { this.seen.push(dict.data); }
  handover() { return this.seen; }
  restore(state: unknown[]) { this.seen = state; }
  @Exposed() version() { return after() + word.length; }
  @Exposed() all() { return this.seen; }
}

function after(): number { return ${version}; }
`;
}

for (const [isolation, saves] of [
  ['inline', SAVES],
  ['child', Math.ceil(SAVES / 3)],
] as const)
  test.serial(`${isolation}: ${saves} truncating saves under calls and dicts`, async (t) => {
    t.timeout(saves * 5_000);
    const sourceOf = (version: number): string => source(version, `{ isolation: '${isolation}' }`);
    const directory = pluginsDir(t, { 'ham/spam.ts': sourceOf(0), 'ham/_word.ts': `export const word = '';\n` });
    const relay = await startRelay(t, { pluginsDir: directory });
    await relay.seen.event('plugins.watched');
    const run = { isOver: false };
    const failures: unknown[] = [];
    const wrong: unknown[] = [];
    let calls = 0;
    const calling = (async () => {
      while (!run.isOver) {
        const answer = await relay.call('ham.spam.version').catch((error: unknown) => failures.push(error));
        if (typeof answer !== 'number' || answer < 0) wrong.push(answer);
        calls++;
      }
    })();
    let dicts = 0;
    const notifying = (async () => {
      while (!run.isOver) await relay.call('notify', { data: dicts++ }).catch((error: unknown) => failures.push(error));
    })();
    /** Makes some calls, so that the watcher may read the file between two steps of a save. */
    const pause = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) await relay.call('ping');
    };
    for (let n = 1; n <= saves; n++) {
      const [name, text] = n % 3 === 0 ? ['ham/_word.ts', `export const word = '';\n// ${n}\n`] : ['ham/spam.ts', sourceOf(n)];
      const file: FileHandle = await open(join(directory, name), 'w');
      await pause(n % 40);
      // Up to the last statement, so that the first half compiles.
      const half = n % 2 === 0 ? text.indexOf('\nfunction after') : text.length >> 1;
      await file.write(text.slice(0, Math.max(0, half)));
      // The watcher loads such a half after some 400 ms without a change, which a busy machine may need for a few calls.
      for (let turn = 0; turn < n % 7; turn++) await new Promise(setImmediate);
      await file.write(text.slice(Math.max(0, half)));
      await file.close();
      await pause(n % 25);
    }
    await writeFile(join(directory, 'ham/spam.ts'), sourceOf(1_000_000));
    while ((await relay.call('ham.spam.version')) !== 1_000_000) await pause(1);
    run.isOver = true;
    await Promise.all([calling, notifying]);
    const delivered = () => relay.status().plugins.satellites[0]?.waiting === 0;
    while (!delivered()) await pause(1);
    t.deepEqual(failures, []);
    t.deepEqual(wrong, []);
    t.deepEqual(
      await relay.call('ham.spam.all'),
      Array.from({ length: dicts }, (_, n) => n),
    );
    t.like(relay.status().plugins.satellites[0], { failed: 0, dropped: 0, refused: 0 });
    const { restarts = 0 } = relay.status().plugins.plugins[0] ?? {};
    const kept = relay.seen.matching('plugin.problem').length;
    t.log(`${calls} calls, ${dicts} dicts, ${restarts} reloads, ${kept} versions refused`);
    t.true(restarts > 0);
  });
