/** Values keep the types that they were written with on every way through a relay, and a declared signature decides for JavaScript. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { Double, Int64 } from '../../src/values/values.ts';
import type { Sendable } from '../../src/values/values.ts';
import { serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const MIRROR = fileURLToPath(new URL('../fixtures/programs/mirror.mjs', import.meta.url));
const PLUGIN = (isolation: string): string => `
  import { Exposed, Plugin, Satellite } from 'co2-relay';
  @Satellite({ isolation: '${isolation}' })
  export class Numbers extends Plugin {
    @Exposed() same(value: any) { return value; }
    @Exposed({ params: ['double'], returns: 'double' }) half(value: number) { return value / 2; }
    @Exposed({ params: ['i8'], returns: 'i8' }) next(value: number | bigint) { return BigInt(value) + 1n; }
    @Exposed() user() { return { email: null, id: 2n ** 40n, big: 2n ** 60n }; }
    @Exposed() async ask(method: string, params: any) { return this.call(method, params); }
  }`;

async function start(t: ExecutionContext): Promise<TestRelay> {
  const directory = pluginsDir(t, { 'ham/inline.ts': PLUGIN('inline'), 'ham/child.ts': PLUGIN('child') });
  const programs = ['server', 'poll'].map((name) => ({ name, exec: process.execPath, args: [MIRROR, name] }));
  return startRelay(t, { pluginsDir: directory, programs });
}

/** The XML of the value in a response, or the whole response. */
function valueIn(xml: string): string {
  return /<params><param>(.*)<\/param><\/params>/s.exec(xml)?.[1] ?? xml;
}

function valueXml(value: Sendable): string {
  return valueIn(serialiseResponse(value, { nil: true, i8: true }).toString());
}

/** Calls with XML and answers the XML of the result. */
async function callXml({ url }: TestRelay, method: string, ...params: string[]): Promise<string> {
  const body = `<methodCall><methodName>${method}</methodName><params>${params.map((value) => `<param>${value}</param>`).join('')}</params></methodCall>`;
  const response = await fetch(`${url}/RPC2?nil=1&i8=1`, { method: 'POST', headers: { 'content-type': 'text/xml' }, body });
  return valueIn(await response.text());
}

async function callJson({ url }: TestRelay, method: string, params: string): Promise<string> {
  const response = await fetch(`${url}/api/${method}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: params });
  return response.text();
}

// Names in the order in which JavaScript keeps them, so that values can be compared as XML.
const name = fc.stringMatching(/^[a-z]{1,5}$/);
const number = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.integer().map((value) => new Double(value)),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }).map((value) => new Double(value)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => new Int64(value)),
  fc.integer({ min: -5, max: 5 }).map((value) => new Int64(BigInt(value))),
);
const { value } = fc.letrec<{ value: Sendable }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    { weight: 4, arbitrary: number },
    { weight: 1, arbitrary: fc.oneof(fc.boolean(), fc.constant(null), fc.stringMatching(/^[a-z <&]{0,8}$/)) },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 4 }) },
    { weight: 1, arbitrary: fc.dictionary(name, tie('value'), { maxKeys: 4 }) },
  ),
}));

test('every value reaches a program as it was written, and comes back so', async (t) => {
  const relay = await start(t);
  for (const program of ['server', 'poll']) {
    await fc.assert(
      fc.asyncProperty(value, async (sent) => {
        const xml = valueXml(sent);
        t.is(await callXml(relay, `${program}.echo`, xml), xml);
      }),
      { numRuns: 60 },
    );
  }
});

test('every value keeps its types inside a multicall, and from one program to another', async (t) => {
  const relay = await start(t);
  await fc.assert(
    fc.asyncProperty(value, async (sent) => {
      const xml = valueXml(sent);
      const call = `<struct><member><name>methodName</name><value>server.echo</value></member><member><name>params</name><value><array><data>${xml}</data></array></value></member></struct>`;
      const results = await callXml(relay, 'system.multicall', `<value><array><data><value>${call}</value></data></array></value>`);
      const list = (inner: string): string => `<value><array><data>${inner}</data></array></value>`;
      t.is(results, list(list(xml)));
      const passed = `<value><array><data><value><string>poll.echo</string></value>${list(xml)}</data></array></value>`;
      t.is(await callXml(relay, 'server.pass', passed), xml);
    }),
    { numRuns: 40 },
  );
});

test('the client reads null and 64-bit numbers of every method; a caller that does not say so is shown the switch', async (t) => {
  const relay = await start(t);
  for (const name of ['ham.inline.user', 'ham.child.user']) {
    const result = await relay.call(name);
    t.deepEqual({ ...(result as object) }, { email: null, id: 2 ** 40, big: 2n ** 60n });
    t.is(await callJson(relay, name, '[]'), '{"email":null,"id":1099511627776,"big":{"$i8":"1152921504606846976"}}');
    const body = `<methodCall><methodName>${name}</methodName></methodCall>`;
    const response = await fetch(`${relay.url}/RPC2`, { method: 'POST', headers: { 'content-type': 'text/xml' }, body });
    t.regex(await response.text(), /<fault>.*\?nil=1/s);
  }
});

test('a number of JSON reaches a program as it was written', async (t) => {
  const relay = await start(t);
  for (const json of ['100', '100.0', '-0.0', '1000.0', '{"$i8":"5"}', '[1.0,{"a":2.0}]', '9007199254740992.0'])
    t.is(await callJson(relay, 'server.echo', `[${json}]`), json);
  t.is(await callJson(relay, 'server.typed', '[1.0,{"$i8":"5"}]'), '"double,i8"');
});

for (const isolation of ['inline', 'child']) {
  test(`towards JavaScript and back the declared signature decides (${isolation})`, async (t) => {
    const relay = await start(t);
    t.is(await callXml(relay, `ham.${isolation}.half`, '<value><double>200.0</double></value>'), valueXml(new Double(100)));
    t.is(await callXml(relay, `ham.${isolation}.half`, '<value><int>200</int></value>'), valueXml(new Double(100)));
    t.is(await callXml(relay, `ham.${isolation}.next`, '<value><i8>4</i8></value>'), valueXml(new Int64(5n)));
    const typed = `<value><array><data><value><int>1</int></value><value><double>1e12</double></value></data></array></value>`;
    const asked = await callXml(relay, `ham.${isolation}.ask`, '<value><string>server.typed</string></value>', typed);
    t.is(asked, '<value><string>double,i8</string></value>');
    t.is(
      await callXml(
        relay,
        `ham.${isolation}.ask`,
        '<value>ham.inline.half</value>',
        `<value><array><data><value><int>8</int></value></data></array></value>`,
      ),
      '<value><int>4</int></value>',
    );
  });
}

test('Robot Framework passes a whole double on as one', async (t) => {
  const { url } = await start(t);
  const list = '<value><array><data><value><double>100.0</double></value></data></array></value>';
  const params = `<param><value>server.echo</value></param><param>${list}</param>`;
  const body = `<methodCall><methodName>run_keyword</methodName><params>${params}</params></methodCall>`;
  const response = await fetch(`${url}/robot`, { method: 'POST', headers: { 'content-type': 'text/xml' }, body });
  t.regex(await response.text(), /<name>return<\/name><value><double>100\.0<\/double><\/value>/);
});
