/** Doubles, which are read and written by arithmetic where that is exact, are those that JavaScript reads and writes. */
import test from 'ava';
import fc from 'fast-check';
import { Double } from '../../src/values/values.ts';
import { parseResponse, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';

const digits = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'), minLength: 1, maxLength });
const decimal = fc
  .tuple(fc.constantFrom('', '-'), digits(14), fc.option(digits(16)))
  .map(([sign, whole, decimals]) => `${sign}${whole}${decimals === null ? '' : `.${decimals}`}`);

function read(text: string): unknown {
  const answer = parseResponse(
    Buffer.from(`<methodResponse><params><param><value><double>${text}</double></value></param></params></methodResponse>`),
  );
  return answer.kind === 'value' ? answer.value : undefined;
}

function written(value: number): string | undefined {
  return /<double>(.*)<\/double>/.exec(serialiseResponse(new Double(value), { doubles: 'exponent' }).toString())?.[1];
}

function shortest(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

test('a decimal of up to 30 digits is read as the double that is nearest', (t) => {
  fc.assert(
    fc.property(decimal, (text) => {
      t.is(read(text), Number(text));
    }),
    { numRuns: 3000 },
  );
});

test('a decimal in the middle of two doubles, or next to that, is read as JavaScript reads it', (t) => {
  const middles = fc.tuple(fc.bigInt(2n ** 52n, 2n ** 53n - 1n), fc.integer({ min: 1, max: 6 }), fc.constantFrom('', '0', '1'));
  fc.assert(
    fc.property(middles, ([mantissa, places, more]) => {
      const all = String((2n * mantissa + 1n) * 5n ** BigInt(places));
      const text = `${all.slice(0, -places)}.${all.slice(-places)}${more}`;
      t.is(read(text), Number(text));
    }),
    { numRuns: 3000 },
  );
});

test('a double is written as the shortest decimal that reads back equal, and one with few decimals too', (t) => {
  const few = fc.tuple(fc.integer(), fc.integer({ min: 0, max: 8 })).map(([whole, places]) => whole / 10 ** places);
  fc.assert(
    fc.property(fc.oneof(few, fc.double({ noNaN: true, noDefaultInfinity: true })), (value) => {
      t.is(written(value), shortest(value));
    }),
    { numRuns: 3000 },
  );
  for (const value of [0, -0, 1e-6, -1e-6, 1e-7, 999_999_999.999999, 1e9, -1e9, 0.1 + 0.2]) t.is(written(value), shortest(value));
});
