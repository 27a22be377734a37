/** Which names are suggested for a misspelt one. */
import test from 'ava';
import { suggest } from '../../src/core/core.ts';

for (const [name, known, text] of [
  ['hma', ['ham', 'eggs'], '; did you mean "ham"?'],
  ['plugin.lsit', ['plugin.load', 'plugin.list'], '; did you mean "plugin.list"?'],
  ['hamm', ['ham', 'eggs'], '; did you mean "ham"?'],
  ['amh', ['ham'], '; known: ham'],
  ['t2', ['ci'], '; known: ci'],
  ['ham', [], '; there are none'],
] as const)
  test(`${name} of ${known.join(', ')}`, (t) => {
    t.is(suggest(name, known), text);
  });
