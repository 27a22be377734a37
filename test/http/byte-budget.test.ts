/** The budget of bytes by itself: who may hold how much at once. */
import test from 'ava';
import { ByteBudget } from '../../src/http/byte-budget.ts';

const KB = 1024;

test('small bodies are free, one address may use half of the budget, and released bytes are available again', (t) => {
  const budget = new ByteBudget(1000 * KB, (place: string) => ({ place, isUntrusted: place.startsWith('stranger') }));
  for (let index = 0; index < 100; index++) t.true(budget.open('a').grow(64 * KB));
  t.is(budget.held, 0);
  const first = budget.open('a');
  t.true(first.grow(400 * KB));
  t.false(budget.open('a').grow(200 * KB));
  const second = budget.open('b');
  t.true(second.grow(400 * KB));
  t.is(budget.held, 1000 * KB);
  const third = budget.open('c');
  t.false(third.grow(100 * KB));
  for (const reservation of [first, second, third, first]) reservation.release();
  t.is(budget.held, 200 * KB);
});

test('many small increments of one request count once their sum is large', (t) => {
  const budget = new ByteBudget(1000 * KB, (place: string) => ({ place, isUntrusted: place.startsWith('stranger') }));
  const reservation = budget.open('a');
  for (let index = 0; index < 10; index++) t.true(reservation.grow(50 * KB));
  t.is(budget.held, 500 * KB);
  t.false(reservation.grow(1));
  reservation.grow(-1);
  reservation.release();
  t.is(budget.held, 0);
});

test('anonymous callers share half of the budget, and a quarter per address, so that known callers always get their share', (t) => {
  const budget = new ByteBudget(1000 * KB, (place: string) => ({ place, isUntrusted: place.startsWith('stranger') }));
  const one = budget.open('stranger 1');
  t.true(one.grow(250 * KB));
  t.false(budget.open('stranger 1').grow(100 * KB));
  t.true(budget.open('stranger 2').grow(150 * KB));
  const late = budget.open('stranger 3');
  t.false(late.grow(100 * KB));
  late.release();
  t.true(budget.open('b').grow(400 * KB));
  one.release();
  t.true(budget.open('stranger 3').grow(200 * KB));
});
