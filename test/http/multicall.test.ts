/** system.multicall at every endpoint: each result is written once, and one that cannot be written is the fault of its own element. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';
import { request } from './raw.ts';

const PLUGIN = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
let reads = 0;
@Satellite() export class Results extends Plugin {
  @Exposed() counted() { return { get reads() { return ++reads; } }; }
  @Exposed() unwritable() { return ['x'.repeat(3000000), () => 1]; }
  @Exposed() deep() { let value = 1; for (let n = 0; n < 63; n++) value = [value]; return value; }
  @Exposed() huge() { return Array.from({ length: 70 }, () => Buffer.alloc(1000000)); }
  @Exposed() odd() { throw new Fault(7, 'a\\u0001b'); }
}`;
const CALLS = ['counted', 'unwritable', 'deep', 'huge', 'odd', 'counted'].map((name) => ({
  methodName: `many.results.${name}`,
  params: [],
}));

type Ask = (url: string) => Promise<unknown>;

const json = async (url: string, path: string, body: unknown): Promise<unknown> =>
  JSON.parse((await request(url, { path, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })).body.toString());

const ENDPOINTS: readonly (readonly [endpoint: string, ask: Ask])[] = [
  [
    'XML-RPC',
    async (url) => {
      const answer = parseResponse((await request(url, { body: serialiseCall('system.multicall', [CALLS]) })).body);
      return answer.kind === 'value' ? answer.value : answer;
    },
  ],
  [
    'JSON-RPC',
    async (url) => {
      const answer = await json(url, '/RPC2', { jsonrpc: '2.0', method: 'system.multicall', params: [CALLS], id: 1 });
      return (answer as { result: unknown }).result;
    },
  ],
  ['REST', (url) => json(url, '/api/system.multicall', [CALLS])],
];

for (const [endpoint, ask] of ENDPOINTS) {
  test(`${endpoint}: serializable results are returned and read once; others become faults`, async (t: ExecutionContext) => {
    const { url } = await startRelay(t, { pluginsDir: pluginsDir(t, { 'many/results.ts': PLUGIN }) });
    const results = (await ask(url)) as Record<string, unknown>[];
    t.is(results.length, CALLS.length, JSON.stringify(results).slice(0, 300));
    const [first, unwritable, deep, huge, odd, second] = results;
    // Loaded once for all tests of this process, so a counter may be anywhere; but it goes on by one from one element to the next.
    const reads = [first, second].map((result) => (result as unknown as [{ reads: number }])[0].reads);
    t.is(reads[1]! - reads[0]!, 1);
    t.like(unwritable, { faultCode: -32603 });
    t.regex(String(unwritable!.faultString), /^many\.results\.unwritable: result\[1\]\[0\]\[1\]: a function cannot be sent/);
    t.like(deep, { faultCode: -32603 });
    t.regex(String(deep!.faultString), /deeper than 64/);
    t.like(huge, { faultCode: -32603 });
    t.regex(String(huge!.faultString), /longer than/);
    t.like(odd, { faultCode: 7, faultString: 'a\ufffdb' });
  });
}
