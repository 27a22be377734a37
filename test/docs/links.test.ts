/** Every page of the documentation names only things that exist: links, headings, npm scripts, documents. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import test from 'ava';
import { PROJECT_DIR } from '../support/processes.ts';

const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: PROJECT_DIR,
  encoding: 'utf8',
})
  .split('\0')
  .filter((name) => name !== '' && existsSync(join(PROJECT_DIR, name)));
const read = (name: string): string => readFileSync(join(PROJECT_DIR, name), 'utf8');
const pages = tracked.filter((name) => name.endsWith('.md') && !name.startsWith('test/fixtures/'));
/** Removes the code blocks of a page. */
const prose = (name: string): string => read(name).replace(/^```[\s\S]*?^```$/gm, '');

/** The anchors of a page's headings, as GitHub generates them. */
function anchorsOf(name: string): ReadonlySet<string> {
  const headings = [...prose(name).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading.toLowerCase());
  return new Set(headings.map((heading) => heading.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')));
}

test('every relative link leads to a file, and its anchor to a heading', (t) => {
  t.true(pages.length > 60);
  const broken = pages.flatMap((page) =>
    [...prose(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
      .filter(([, path = '', anchor]) => {
        const target = path === '' ? join(PROJECT_DIR, page) : resolve(PROJECT_DIR, dirname(page), path);
        if (!existsSync(target)) return true;
        return anchor !== undefined && !anchorsOf(target.slice(PROJECT_DIR.length)).has(anchor);
      })
      .map(([link]) => `${page}: ${link}`),
  );
  t.deepEqual(broken, []);
});

test('every npm script that a page names exists', (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Readonly<Record<string, string>> };
  const unknown = pages.flatMap((page) =>
    [...read(page).matchAll(/`npm run ([a-z:]+)/g)].filter(([, name = '']) => !(name in scripts)).map(([text]) => `${page}: ${text}`),
  );
  t.deepEqual(unknown, []);
});

test('the test files that CONTRIBUTING.md and docs/architecture.md name exist', (t) => {
  for (const page of ['CONTRIBUTING.md', 'docs/architecture.md']) {
    const named = [...read(page).matchAll(/\btest\/[\w./-]+\.ts\b/g)].map(([path]) => path);
    t.true(named.length > 0, page);
    t.deepEqual(
      named.filter((path) => !existsSync(join(PROJECT_DIR, path))),
      [],
    );
  }
});
