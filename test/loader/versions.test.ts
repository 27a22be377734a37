/** Versions of modules, with both kinds of hooks: what changed is imported again with all that imports it, and nothing else is. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { KINDS, makePackage, makeTree, run } from './kit.ts';

for (const kind of KINDS) {
  test(`${kind}: a new version goes up from what changed to all that import it, and stops there`, async (t) => {
    const packageDir = makePackage(t);
    const dir = makeTree(t, {
      'ham/spam.ts': `import { Satellite } from 'co2-relay';\nimport { middle } from './_middle.js';\nimport { still } from './_still.ts';\nimport data from './data.json' with { type: 'json' };
import npm from 'thing';
@Satellite() export class Spam { /** Helps. */ help() {} }
export const all = { middle, still, data, npm, url: import.meta.url };`,
      'ham/_middle.ts': `export { deep as middle } from '../deep/er/deep.mjs';`,
      'deep/er/deep.mjs': `export const deep = { n: 1 };`,
      'ham/_still.ts': `export const still = {};`,
      'ham/data.json': `{ "n": 1 }`,
      'node_modules/thing/package.json': `{ "name": "thing", "type": "module", "exports": "./index.js" }`,
      'node_modules/thing/index.js': `export default {};`,
    });
    const result = await run(
      { packageDir, kind },
      `const { writeFileSync, rmSync } = await import('node:fs');
       const dir = ${JSON.stringify(dir)};
       const spam = dir + '/ham/spam.ts';
       trackModules(dir);
       const load = async () => (await import(moduleUrl(spam))).all;
       const one = await load();
       const firstUrl = moduleUrl(spam);
       await renewChanged(dir);
       const untouched = (await load()) === one;
       writeFileSync(dir + '/deep/er/deep.mjs', 'export const deep = { n: 2 };');
       writeFileSync(dir + '/ham/data.json', '{ "n": 2 }');
       await renewChanged(dir);
       const two = await load();
       const docs = [docCommentsOf(firstUrl), docCommentsOf(moduleUrl(spam))].map((all) => all.Spam?.help ?? null);
       rmSync(dir + '/ham/_still.ts');
       await renewChanged(dir);
       const missing = await failure(load());
       await renewChanged(dir);
       const again = moduleUrl(spam);
       writeFileSync(dir + '/ham/_still.ts', 'export const still = 3;');
       await renewChanged(dir);
       const three = await load();
       await renewModule(spam);
       const four = await load();
       answer({
         untouched, docs, missing: missing.code, again: again === moduleUrl(spam),
         numbers: [one, two, three].map(({ middle, data }) => [middle.n, data.n]),
         same: [two.still === one.still, two.npm === one.npm, three.middle === two.middle, four.middle === three.middle, four.npm === one.npm],
         queries: [one, two, three, four].map(({ url }) => new URL(url).search),
       });`,
    );
    t.deepEqual(result, {
      untouched: true,
      docs: [null, 'Helps.'],
      missing: 'ERR_MODULE_NOT_FOUND',
      again: false,
      numbers: [
        [1, 1],
        [2, 2],
        [2, 2],
      ],
      same: [true, true, true, false, true],
      queries: ['', '?v=1', '?v=3', '?v=4'],
    });
  });

  test(`${kind}: what is not to be executed is refused before it runs, helpers too`, async (t) => {
    const packageDir = makePackage(t);
    const dir = makeTree(t, { 'spam.ts': `import './_open.ts';`, '_open.ts': `throw new Error('executed');` });
    mkdirSync(join(dir, 'out'));
    const result = await run(
      { packageDir, kind },
      `const { chmodSync, mkdtempSync, rmSync, symlinkSync } = await import('node:fs');
       const { execFileSync } = await import('node:child_process');
       const dir = ${JSON.stringify(dir)};
       trackModules(dir);
       const reasons = [];
       const load = async () => { await renewChanged(dir); reasons.push((await failure(import(moduleUrl(dir + '/spam.ts')))).message.replaceAll(dir, '')); };
       chmodSync(dir + '/_open.ts', 0o666);
       await load();
       rmSync(dir + '/_open.ts');
       execFileSync('mkfifo', [dir + '/_open.ts']);
       await load();
       rmSync(dir + '/_open.ts');
       symlinkSync(${JSON.stringify(join(packageDir, 'package.json'))}, dir + '/_open.ts');
       await load();
       answer(reasons);`,
    );
    t.deepEqual(result, [
      '/_open.ts is not executed: every user of this machine can write to it, and it would be executed; chmod o-w',
      '/_open.ts is not executed: it is not a regular file',
      '/_open.ts is a link to a file outside the directory, so it is not executed',
    ]);
  });
}
