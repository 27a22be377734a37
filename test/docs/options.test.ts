/** docs/options.md is what `npm run docs` generates from the schema of the options and their doc comments. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { formattedOptionsPage } from '../../scripts/options-page.ts';
import { optionKinds } from '../../src/config/config.ts';
import { PROJECT_DIR } from '../support/processes.ts';

const page = readFileSync(join(PROJECT_DIR, 'docs/options.md'), 'utf8');

test('docs/options.md is up to date; otherwise run "npm run docs"', async (t) => {
  t.is(page, await formattedOptionsPage());
});

test('docs/options.md has a section for every option, with its meaning, type, default and variable', (t) => {
  const sections = page.split(/^### /m).slice(1);
  t.deepEqual(sections.map((section) => /^`([^`]+)`\n/.exec(section)?.[1]).sort(), [...optionKinds().keys()].sort());
  for (const section of sections)
    t.regex(section, /^`\S+`\n\n\S.+\n\n- Type: (?!any value).+\n- Default: .+\n(?:- Unit: .+\n)?- Environment: `CO2_[A-Z0-9_]+`\n/);
});
