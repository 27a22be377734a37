/** Responses that violate the specification: accepted by default where they can be understood, rejected by strict reading. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { RemoteFault, createClient } from '../../src/client/client.ts';
import type { ClientOptions, Value, XmlRpcClient } from '../../src/client/client.ts';
import { serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { answer, rawServer } from '../support/raw-server.ts';
import { refuses, rejects } from '../support/relay-error.ts';

const member = (name: string, value: string): string => `<member><name>${name}</name><value>${value}</value></member>`;
const struct = (...members: readonly string[]): string => `<struct>${members.join('')}</struct>`;
const valueOf = (value: string): string => `<methodResponse><params><param><value>${value}</value></param></params></methodResponse>`;
const faultOf = (value: string): string => `<methodResponse><fault><value>${value}</value></fault></methodResponse>`;
const TEXT = member('faultString', '<string>no such method here</string>');
const TRUE = serialiseResponse(true);

function clientOf(t: ExecutionContext, url: string, options: ClientOptions = {}): XmlRpcClient {
  const client = createClient(url, { timeoutMs: 5000, ...options });
  t.teardown(() => client.close());
  return client;
}

async function serverOf(t: ExecutionContext, bytes: string | Buffer): Promise<string> {
  return (await rawServer(t, (socket) => socket.write(bytes))).url;
}

async function refusedStrictly(t: ExecutionContext, url: string): Promise<void> {
  await rejects(t, clientOf(t, url, { answers: 'strict' }).call('x'), 'TRANSPORT');
}

const FAULTS: readonly (readonly [what: string, value: string, code: number, faultCode: Value])[] = [
  ['a text as its code', struct(TEXT, member('faultCode', '<string>Client</string>')), 0, 'Client'],
  ['an untyped text as its code', struct(member('faultCode', 'Server.userException'), TEXT), 0, 'Server.userException'],
  ['digits as its code', struct(member('faultCode', '<string>404</string>'), TEXT), 404, '404'],
  ['an HRESULT', struct(member('faultCode', '<int>2147942405</int>'), TEXT), 2147942405, 2147942405],
  ['a negative HRESULT', struct(member('faultCode', '<i4>-2147024891</i4>'), TEXT), -2147024891, -2147024891],
  ['a code of 64 bits', struct(member('faultCode', '<i8>5000000000</i8>'), TEXT), 5000000000, 5000000000],
  ['a code beyond 2^53', struct(member('faultCode', '<i8>9007199254740993</i8>'), TEXT), 9007199254740992, 9007199254740993n],
  ['a double as its code', struct(member('faultCode', '<double>4.0</double>'), TEXT), 4, 4],
  ['a code that is not a number', struct(member('faultCode', '<int>x</int>'), TEXT), 0, 'x'],
  ['nil as its code', struct(member('faultCode', '<nil/>'), TEXT), 0, null],
  ['a struct as its code', struct(member('faultCode', struct()), TEXT), 0, { __proto__: null }],
  ['no code', struct(TEXT), 0, null],
  ['a third member', struct(member('faultCode', '<int>1</int>'), TEXT, member('detail', '<string>x</string>')), 1, 1],
  [
    'third members that hold anything',
    struct(
      TEXT,
      member('when', '<dateTime.iso8601>never</dateTime.iso8601>'),
      member('faultCode', '<int>1</int>'),
      member('more', struct(member('n', '<int>1.5</int>'))),
    ),
    1,
    1,
  ],
  ['only a text', '<string>no such method here</string>', 0, null],
  [
    'bytes as its text',
    struct(member('faultCode', '<int>1</int>'), member('faultString', '<base64>bm8gc3VjaCBtZXRob2QgaGVyZQ==</base64>')),
    1,
    1,
  ],
];

for (const [what, value, code, faultCode] of FAULTS) {
  test(`the text of a fault with ${what} is reported`, async (t) => {
    const url = await serverOf(t, answer(faultOf(value)));
    const client = clientOf(t, url);
    const error = await t.throwsAsync(client.call('x'));
    t.true(RemoteFault.is(error));
    t.like(error, { code, text: 'no such method here', message: 'no such method here' });
    t.deepEqual((error as RemoteFault).faultCode, faultCode);
    if (what !== 'a negative HRESULT') await refusedStrictly(t, url);
  });
}

test('the same faults are reported among the results of a multicall', async (t) => {
  const results = [
    `<array><data><value><int>1</int></value></data></array>`,
    struct(TEXT, member('faultCode', 'Client'), member('more', 'x')),
  ];
  const url = await serverOf(t, answer(valueOf(`<array><data>${results.map((one) => `<value>${one}</value>`).join('')}</data></array>`)));
  const [one, other] = await clientOf(t, url).multicall([{ method: 'a' }, { method: 'b' }]);
  t.is(one?.value, 1);
  t.like(other?.fault, { code: 0, text: 'no such method here', faultCode: 'Client' });
  const strictly = clientOf(t, url, { answers: 'strict' }).multicall([{ method: 'a' }, { method: 'b' }]);
  t.regex((await rejects(t, strictly, 'TRANSPORT', { reason: 'unexpected-result' })).message, /a fault of an int/);
});

const SCALARS: readonly (readonly [text: string, value: Value])[] = [
  ['<dateTime.iso8601>00000000T00:00:00</dateTime.iso8601>', '00000000T00:00:00'],
  ['<dateTime.iso8601>00000000T00:00:00Z</dateTime.iso8601>', '00000000T00:00:00Z'],
  ['<dateTime.iso8601>0000-00-00T00:00:00</dateTime.iso8601>', '0000-00-00T00:00:00'],
  ['<dateTime.iso8601>0000-00-00 00:00:00</dateTime.iso8601>', '0000-00-00 00:00:00'],
  ['<dateTime.iso8601>-0001-11-30T00:00:00</dateTime.iso8601>', '-0001-11-30T00:00:00'],
  ['<dateTime.iso8601></dateTime.iso8601>', ''],
  ['<dateTime.iso8601/>', ''],
  ['<int>4294967296</int>', 4294967296],
  ['<i4>-2147483649</i4>', -2147483649],
  ['<int>9007199254740993</int>', 9007199254740993n],
  ['<int>+18446744073709551616</int>', 18446744073709551616n],
  ['<i8>18446744073709551615</i8>', 18446744073709551615n],
  ['<int></int>', ''],
  ['<int>12.5</int>', '12.5'],
  ['<boolean>yes</boolean>', 'yes'],
  ['<double>1,5</double>', '1,5'],
  ['<double>NaN</double>', NaN],
  ['<double>-inf</double>', -Infinity],
];

for (const [text, value] of SCALARS) {
  test(`a response with ${text} is accepted`, async (t) => {
    const url = await serverOf(t, answer(valueOf(struct(member('title', 'draft'), member('x', text), member('last', '<i4>7</i4>')))));
    const { title, x, last } = (await clientOf(t, url).call('x')) as unknown as Record<string, Value>;
    t.deepEqual([title, x, last], ['draft', value, 7]);
    await refusedStrictly(t, url);
  });
}

test('valid responses are read the same with either option', async (t) => {
  const url = await serverOf(
    t,
    answer(valueOf(struct(member('when', '<dateTime.iso8601>19980717T14:08:55</dateTime.iso8601>'), member('n', '<int>-5</int>')))),
  );
  for (const answers of ['lenient', 'strict', undefined] as const) {
    const value = await clientOf(t, url, { answers }).call('x');
    t.deepEqual(value, { __proto__: null, when: new Date('1998-07-17T14:08:55Z'), n: -5 });
  }
});

test('a response without a Content-Type is accepted if its body is XML-RPC', async (t) => {
  for (const [type, headers] of [
    ['', ''],
    ['', 'Content-Type: \r\n'],
  ]) {
    const url = await serverOf(t, answer(TRUE, { type, headers }));
    t.true(await clientOf(t, url).call('x'));
    await refusedStrictly(t, url);
  }
  const page = await serverOf(t, answer('<html><body>It works!</body></html>', { type: '' }));
  await rejects(t, clientOf(t, page).call('x'), 'TRANSPORT', { reason: 'not-xmlrpc' });
  const html = await serverOf(t, answer(TRUE, { type: 'text/html' }));
  await rejects(t, clientOf(t, html).call('x'), 'TRANSPORT', { reason: 'content-type' });
});

const INTERIM: readonly (readonly [what: string, head: string])[] = [
  ['100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['100 without a reason, with headers', 'HTTP/1.1 100\r\nServer: x\r\nX: HTTP/1.1 100 y\r\n\r\n'],
  ['102', 'HTTP/1.1 102 Processing\r\n\r\n'],
  ['103', 'HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n'],
  [
    'several',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n',
  ],
];

for (const [what, head] of INTERIM) {
  test(`interim responses are skipped: ${what}`, async (t) => {
    const whole = Buffer.concat([Buffer.from(head), answer(serialiseResponse('HTTP/1.1 100 Continue\r\n\r\n'))]);
    const together = await rawServer(t, (socket) => socket.write(whole));
    const client = clientOf(t, together.url);
    for (let count = 0; count < 3; count++) t.is(await client.call('x'), 'HTTP/1.1 100 Continue\r\n\r\n');
    t.is(together.connections(), 1);
    const apart = await rawServer(t, (socket) => {
      socket.setNoDelay(true);
      const next = (at: number): void => {
        if (at < whole.length) socket.write(whole.subarray(at, at + 3), () => setImmediate(next, at + 3));
      };
      next(0);
    });
    t.is(await clientOf(t, apart.url).call('x'), 'HTTP/1.1 100 Continue\r\n\r\n');
  });
}

test('endless interim responses end with the timeout of the call', async (t) => {
  const { url } = await rawServer(t, (socket) => {
    const more = (): void => {
      if (!socket.destroyed) socket.write('HTTP/1.1 100 Continue\r\n\r\n', () => setImmediate(more));
    };
    more();
  });
  await rejects(t, clientOf(t, url, { totalTimeoutMs: 200 }).call('x'), 'TIMEOUT', { option: 'totalTimeoutMs' });
});

test('other values of the option are rejected', (t) => {
  const create = (): unknown => createClient('http://127.0.0.1:1', { answers: 'loose' as 'strict' });
  t.regex(refuses(t, create, 'CONFIG_INVALID', { option: 'answers' }).message, /found 'loose', expected 'lenient' or 'strict'/);
});
