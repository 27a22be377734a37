/** Generates JSON texts with every type, marker and spelling, and occasional errors. */
import type { Random } from './random.ts';

const SCALARS = [
  ...['null', 'true', 'false', '0', '-0', '1', '-1', '2147483648', '9007199254740993', '1.0', '-0.0', '1e3', '1.5E-7', '5e-324', '1e308'],
  ...[
    '""',
    '"a"',
    '"ä😀"',
    '"\\n\\u0000\\ud83d\\ude00"',
    '"\\\\/"',
    '{"$date":"2024-02-03T04:05:06Z"}',
    '{"$base64":"AAEC"}',
    '{"$i8":"5"}',
  ],
];
const ODD = [
  '',
  '1e999',
  '01',
  '+1',
  '.5',
  'NaN',
  'nul',
  '"\\ud800"',
  '"\\x"',
  '"\n"',
  '{"$date":"x"}',
  '{"$base64":"?"}',
  '{"$i8":"1.5"}',
  '[1,]',
  '{a:1}',
  '//',
];
const NAMES = ['a', 'b', 'ä', '', '__proto__', 'constructor', '$date', '$$date', '$base64', '$i8', '$', 'c'];

/** One text. */
export function jsonDocument(random: Random): string {
  return `${random.once(20) ? '\ufeff' : ''}${valueText(random, 4)}`;
}

function valueText(random: Random, depth: number): string {
  if (random.once(60)) return random.pick(ODD);
  if (depth === 0 || random.once(3)) return random.pick(SCALARS);
  const gap = random.pick(['', '', ' ', '\n']);
  if (random.once(2)) return `[${random.many(4, () => valueText(random, depth - 1)).join(`,${gap}`)}]`;
  const members = random.many(4, () => `${JSON.stringify(random.pick(NAMES))}:${gap}${valueText(random, depth - 1)}`);
  return `{${members.join(`${gap},`)}}`;
}
