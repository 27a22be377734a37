/** The one exchange of all XML-RPC endpoints: what is answered, and what is charged. */
import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import { answerCall } from '../../src/rpc/rpc.ts';
import type { RpcEndpoint } from '../../src/rpc/rpc.ts';
import { parseCall, parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';

function makeEndpoint(changes: Partial<RpcEndpoint<undefined>> = {}) {
  const steps: string[] = [];
  const endpoint: RpcEndpoint<undefined> = {
    admit: () => {
      steps.push('admit');
    },
    parse: (body) => {
      steps.push('parse');
      return parseCall(body as Buffer);
    },
    chargeUnreadable: () => {
      steps.push('charge');
    },
    invoke: ({ params }) => {
      steps.push('invoke');
      return params[0];
    },
    writing: () => ({ nil: true }),
    faultFor: (error, method) => {
      steps.push(`fault of ${method}`);
      return { code: RelayError.is(error) ? error.fault : 1, text: (error as Error).message };
    },
    ...changes,
  };
  return { steps, ask: async (body: Buffer) => parseResponse(await answerCall(endpoint, body, undefined)) };
}

test('a call is admitted, parsed and run, and its result is the answer', async (t) => {
  const { ask, steps } = makeEndpoint();
  t.like(await ask(serialiseCall('echo', [null], { nil: true })), { kind: 'value', value: null });
  t.deepEqual(steps, ['admit', 'parse', 'invoke']);
});

test('a method that returns nothing, now or later, is answered true', async (t) => {
  for (const invoke of [() => undefined, () => Promise.resolve(undefined)]) {
    const { ask } = makeEndpoint({ invoke });
    t.like(await ask(serialiseCall('work', [])), { kind: 'value', value: true });
  }
});

test('what cannot be parsed is charged and answered with a fault', async (t) => {
  const { ask, steps } = makeEndpoint();
  t.like(await ask(Buffer.from('<methodCall>')), { kind: 'fault', code: -32700 });
  t.deepEqual(steps, ['admit', 'parse', 'charge', 'fault of a request']);
});

test('a request that is not admitted is neither parsed nor charged', async (t) => {
  const { ask, steps } = makeEndpoint({
    admit: () => {
      throw new RelayError('RATE_LIMITED', 'later');
    },
  });
  t.like(await ask(serialiseCall('echo', [])), { kind: 'fault', code: 429, text: 'later' });
  t.deepEqual(steps, ['fault of a request']);
});

test('an error names its method, whether it is thrown or rejected; an endpoint may answer a result in place of the fault', async (t) => {
  const fail = (): never => {
    throw new Error('broken');
  };
  for (const invoke of [fail, () => Promise.reject(new Error('broken'))]) {
    const { ask, steps } = makeEndpoint({ invoke });
    t.like(await ask(serialiseCall('work', [])), { kind: 'fault', code: 1, text: 'broken' });
    t.deepEqual(steps.at(-1), 'fault of work');
    const instead = makeEndpoint({ invoke, resultForFault: (_call, { text }) => ({ status: 'FAIL', error: text }) });
    t.like(await instead.ask(serialiseCall('work', [])), { kind: 'value', value: { status: 'FAIL', error: 'broken' } });
  }
});

test('a result that cannot be written is a fault of its method', async (t) => {
  const { ask, steps } = makeEndpoint({ invoke: () => 2n ** 70n });
  t.like(await ask(serialiseCall('work', [])), { kind: 'fault' });
  t.is(steps.at(-1), 'fault of work');
});
