/** The closed table of errors, faults of plugins, and both across two copies of the package. */
import test from 'ava';
import { ERRORS, Fault, RelayError } from '../../src/core/core.ts';

test('every code has a fault number of the interoperability set or a positive one, and a meaning', (t) => {
  const interop = [-32700, -32701, -32702, -32600, -32601, -32602, -32603, -32500, -32400, -32300];
  for (const [code, { fault, meaning }] of Object.entries(ERRORS)) {
    t.true(fault > 0 || interop.includes(fault), code);
    t.regex(meaning, /^[a-z].{15,}[^.]$/, code);
  }
});

test('a RelayError has its fault number and keeps its cause', (t) => {
  const cause = new Error('inner');
  const error = new RelayError('TIMEOUT', 'too late', { cause });
  t.is(error.fault, 504);
  t.is(error.code, 'TIMEOUT');
  t.is(error.message, 'too late');
  t.is(error.cause, cause);
  t.true(RelayError.is(error));
});

for (const code of [0, 1, -1, 42, 401, 32768, 2147483647, -2147483648, -32769, -31999]) {
  test(`fault code ${code} is allowed`, (t) => {
    const fault = new Fault(code, 'why');
    t.deepEqual([fault.code, fault.message], [code, 'why']);
    t.true(Fault.is(fault));
  });
}

for (const code of [-32768, -32700, -32601, -32500, -32000, 2147483648, -2147483649, 1.5, NaN, Infinity, 2 ** 53]) {
  test(`fault code ${code} is rejected with a text that says which codes are allowed`, (t) => {
    const error = t.throws(() => new Fault(code, 'why'), { instanceOf: RangeError });
    t.regex(error.message, /32-bit integer outside -32768\.\.-32000/);
  });
}

test('the mark of any copy of the package counts; an object without it does not', (t) => {
  const fault = { [Symbol.for('co2-relay.Fault')]: true, code: 7, message: 'of another copy' };
  const error = { [Symbol.for('co2-relay.RelayError')]: true, code: 'LIMIT', fault: 413, message: 'of another copy' };
  t.true(Fault.is(fault));
  t.true(RelayError.is(error));
  t.false(RelayError.is(fault));
  t.false(Fault.is(error));
  t.false(Fault.is({ ...fault, code: -32601 }), 'a reserved code is not a fault of an application');
  t.false(Fault.is({ ...fault, code: '7' }));
  for (const other of [
    { code: 7, message: 'x', name: 'Fault' },
    { [Symbol('co2-relay.Fault')]: true, code: 7 },
    null,
    undefined,
    7,
    'Fault',
    [],
  ]) {
    t.false(Fault.is(other));
    t.false(RelayError.is(other));
  }
});
