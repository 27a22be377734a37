/** One dict for all satellites: deeply frozen, with separate copies of bytes and dates. */
import test from 'ava';
import { dictOf, freezeDict, shareDict } from '../../src/values/values.ts';
import type { Dict, Value } from '../../src/values/values.ts';

/** All objects below `root` except bytes and dates. */
function objectsIn(root: object): object[] {
  const found: object[] = [];
  const open: unknown[] = [root];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== 'object' || next === null || next instanceof Date || ArrayBuffer.isView(next)) continue;
    found.push(next);
    open.push(...(Object.values(next) as unknown[]));
  }
  return found;
}

function sample(leaf: Value): Dict {
  return dictOf([
    ['data', [1, 'two', dictOf([['deep', [dictOf([['leaf', leaf]])]]])]],
    ['__proto__', dictOf([['constructor', 'own data']])],
    ['nil', null],
  ]);
}

test('everything in a dict is frozen, and a dict without bytes and dates is shared', (t) => {
  const dict = sample(1n);
  const frozen = freezeDict(dict);
  t.true(objectsIn(dict).length > 5);
  t.true(objectsIn(dict).every((object) => Object.isFrozen(object)));
  t.is(frozen.holders, undefined);
  t.is(shareDict(frozen), dict);
  t.is(shareDict(frozen), dict);
  t.throws(() => ((dict.data as Value[])[0] = 2), { instanceOf: TypeError });
});

for (const [what, make] of [
  ['bytes', () => Buffer.from('abc')],
  ['a date', () => new Date(0)],
] as const) {
  test(`with ${what} each satellite gets its own copy, frozen except for these`, (t) => {
    const frozen = freezeDict(sample(make()));
    const [one, other] = [shareDict(frozen), shareDict(frozen)];
    t.not(one, other);
    t.deepEqual(one, sample(make()));
    t.true(objectsIn(one).every((object) => Object.isFrozen(object)));
    t.is(Object.getPrototypeOf(one), null);
    t.deepEqual(Object.keys(one), ['data', '__proto__', 'nil'], 'in the same order');

    spoil(leafOf(one));
    t.deepEqual(other, sample(make()), 'what one does to its copy the other never sees');
    t.deepEqual(shareDict(frozen), sample(make()));
  });
}

test('parts without bytes and dates are shared, wherever the others are', (t) => {
  const plain = (): Dict => dictOf([['deep', [dictOf([['a', 1]])]]]);
  const frozen = freezeDict(
    dictOf([
      ['before', plain()],
      ['mixed', [[1, [2, 'x']], dictOf([['at', new Date(0)]]), plain()]],
      ['after', [plain()]],
    ]),
  );
  const copy = shareDict(frozen);
  t.not(copy, frozen.dict);
  t.is(copy.before, frozen.dict.before);
  t.is(copy.after, frozen.dict.after);
  const [first, second, third] = copy.mixed as readonly Value[];
  const [originalFirst, originalSecond, originalThird] = frozen.dict.mixed as readonly Value[];
  t.is(first, originalFirst);
  t.not(second, originalSecond);
  t.deepEqual(second, dictOf([['at', new Date(0)]]));
  t.is(third, originalThird);
});

function leafOf(dict: Dict): Date | Buffer {
  const third = (dict.data as readonly Value[])[2] as Dict;
  return ((third.deep as readonly Value[])[0] as Dict).leaf as Date | Buffer;
}

function spoil(leaf: Date | Buffer): void {
  if (leaf instanceof Date) leaf.setTime(1);
  else leaf.fill(0);
}

test('the bytes of a copy do not share memory with the original', (t) => {
  const bytes = Buffer.from('abc');
  const copy = shareDict(freezeDict(dictOf([['data', bytes]]))).data as Buffer;
  t.true(Buffer.isBuffer(copy));
  bytes.fill(0);
  t.is(copy.toString(), 'abc');
});

test('neither depth nor width exhausts the stack', (t) => {
  for (const leaf of [1, Buffer.from('x')]) {
    let deep: Value = leaf;
    for (let level = 0; level < 100_000; level++) deep = level % 2 === 0 ? [deep] : dictOf([['in', deep]]);
    const wide = Array.from({ length: 100_000 }, () => [leaf] as Value);
    const frozen = freezeDict(
      dictOf([
        ['deep', deep],
        ['wide', wide],
      ]),
    );
    const shared = shareDict(frozen);
    t.is((shared.wide as readonly Value[]).length, 100_000);
    let levels = 0;
    for (let next: Value = shared.deep ?? null; Array.isArray(next) || isStruct(next); levels++) {
      next = (Array.isArray(next) ? next[0] : (next as Dict).in) as Value;
    }
    t.is(levels, 100_000);
  }
});

function isStruct(value: Value): boolean {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}
