/** Large bodies: read in slices beside other work, two at a time, in the order in which they came. */
import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import { LargeBodies } from '../../src/http/large-bodies.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { startRelay } from '../support/relays.ts';
import { PING, request } from './raw.ts';

const bodyOf = (method: string, kib: number): Buffer => serialiseCall(method, ['x'.repeat(kib * 1024)]);
const BROKEN = Buffer.concat([bodyOf('broken', 2048), Buffer.from('<')]);

test('small bodies overtake large ones; a third large body waits for a slot', async (t) => {
  const bodies = new LargeBodies();
  const done: string[] = [];
  const read = async (body: Buffer): Promise<void> => {
    done.push((await bodies.parse(body, {})).methodName);
  };
  await Promise.all([read(bodyOf('first', 2048)), read(bodyOf('second', 3072)), read(bodyOf('third', 300)), read(bodyOf('small', 1))]);
  t.is(done[0], 'small');
  t.is(done[1], 'first');
  t.deepEqual(done.toSorted(), ['first', 'second', 'small', 'third']);
});

test('a rejected body releases its slot to the next one in the queue', async (t) => {
  const bodies = new LargeBodies();
  const outcomes = await Promise.allSettled(
    [BROKEN, BROKEN, BROKEN, bodyOf('m', 300), BROKEN, bodyOf('n', 300)].map(async (body) => bodies.parse(body, {})),
  );
  t.deepEqual(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.methodName : (outcome.reason as RelayError).code)),
    ['NOT_WELL_FORMED', 'NOT_WELL_FORMED', 'NOT_WELL_FORMED', 'm', 'NOT_WELL_FORMED', 'n'],
  );
  t.is((await bodies.parse(bodyOf('after', 300), {})).methodName, 'after');
});

test('a large call is answered, and other calls are answered in the meantime', async (t) => {
  const { url } = await startRelay(t, { maxBodyBytes: 40 * 1024 * 1024 });
  const large = request(url, { body: bodyOf('no.such', 32 * 1024) });
  const pings = await Promise.all(Array.from({ length: 20 }, () => request(url, { body: PING })));
  t.true(pings.every(({ status, body }) => status === 200 && parseResponse(body).kind === 'value'));
  const answer = parseResponse((await large).body);
  t.is(answer.kind === 'fault' ? answer.code : 0, -32601);
});
