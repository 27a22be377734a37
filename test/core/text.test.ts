/** Untrusted text in one line of a log. */
import test from 'ava';
import { clean, reasonOf } from '../../src/core/core.ts';

const UNSAFE: readonly (readonly [what: string, text: string])[] = [
  ['NUL', '\u0000'],
  ['newline', '\n'],
  ['carriage return', '\r'],
  ['tab', '\t'],
  ['escape', '\u001b'],
  ['delete', '\u007f'],
  ['C1 control', '\u009b'],
  ['line separator', '\u2028'],
  ['paragraph separator', '\u2029'],
  ['right-to-left override', '\u202e'],
  ['left-to-right isolate', '\u2066'],
  ['pop isolate', '\u2069'],
  ['right-to-left mark', '\u200f'],
  ['byte order mark', '\ufeff'],
  ['arabic letter mark', '\u061c'],
  ['lone surrogate', '\ud800'],
  ['no character', '\uffff'],
];

for (const [what, char] of UNSAFE) {
  test(`${what} is removed`, (t) => {
    t.is(clean(`a${char}b${char}`), 'a\ufffdb\ufffd');
  });
}

test('other text is not changed', (t) => {
  for (const text of ['', 'ping', 'Grüße, 世界 🚀', `<script>"'&`, ' ']) t.is(clean(text), text);
});

test('text is cut to 200 characters, or to the given number', (t) => {
  t.is(clean('x'.repeat(200)), 'x'.repeat(200));
  t.is(clean('x'.repeat(201)), `${'x'.repeat(200)}…`);
  t.is(clean('abcdef', 3), 'abc…');
  t.is(clean(`ab\ncdef`, 3), 'ab\ufffd…');
});

test('a cut never leaves a lone surrogate', (t) => {
  t.is(clean(`${'x'.repeat(199)}🚀🚀`), `${'x'.repeat(199)}…`);
  t.is(clean(`${'x'.repeat(198)}🚀🚀`), `${'x'.repeat(198)}🚀…`);
});

test('any thrown value has a reason as text', (t) => {
  const hostile = {
    toString(): string {
      throw new Error('no');
    },
  };
  t.is(reasonOf(new Error('broken')), 'broken');
  t.is(reasonOf('text'), 'text');
  t.is(reasonOf(undefined), 'undefined');
  t.is(typeof reasonOf(hostile), 'string');
  t.is(typeof reasonOf(Object.create(null)), 'string');
  t.is(typeof reasonOf(Symbol('s')), 'string');
  t.is(reasonOf(Object.assign(new Error('x'), { message: 42 })), '42');
  t.is(
    typeof reasonOf(
      Object.defineProperty(new Error('x'), 'message', {
        get: () => {
          throw new Error('nobody looks');
        },
      }),
    ),
    'string',
  );
  t.is(
    typeof reasonOf(
      new Proxy(
        {},
        {
          getPrototypeOf: () => {
            throw new Error('nobody looks');
          },
        },
      ),
    ),
    'string',
  );
});
