/** Slow readers by themselves: who is watched, who is cut, who is not. */
import test from 'ava';
import { SlowReaders } from '../../src/http/slow-readers.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const KB = 1024;

function setUp() {
  const clock = new VirtualClock();
  const told: string[] = [];
  const log = { warn: (text: string) => void told.push(text) };
  const connection = { isCut: false, remoteAddress: '192.0.2.7', destroy: () => void (connection.isCut = true) };
  return { clock, told, connection, readers: new SlowReaders(1000, clock, log) };
}

test('each of two large responses on one connection has a separate timeout', (t) => {
  const { clock, connection, readers } = setUp();
  for (const _ of [1, 2]) readers.requestBegan(connection);
  for (const _ of [1, 2]) readers.responseBegan(connection, 1000 * KB);
  clock.advance(999);
  readers.responseEnded(connection, 1000 * KB);
  clock.advance(999);
  readers.responseEnded(connection, 1000 * KB);
  clock.advance(10_000);
  t.false(connection.isCut);
  t.is(clock.pending, 0);
});

test('many small unread responses count as one large response', (t) => {
  const { clock, connection, readers, told } = setUp();
  for (let count = 0; count < 3; count++) {
    readers.requestBegan(connection);
    readers.responseBegan(connection, 30 * KB);
  }
  clock.advance(1000);
  t.true(connection.isCut);
  t.deepEqual(told, [`192.0.2.7 did not read ${90 * KB} bytes of responses in 1000 ms; closing its connection`]);
});

test('a connection with too many unanswered requests is closed', (t) => {
  const { connection, readers, told } = setUp();
  for (let count = 0; count < 32; count++) t.true(readers.requestBegan(connection));
  t.false(connection.isCut);
  t.false(readers.requestBegan(connection));
  t.true(connection.isCut);
  t.is(told.length, 1);
});
