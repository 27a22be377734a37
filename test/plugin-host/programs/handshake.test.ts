/** The handshake of a program: valid lines, and the errors for invalid ones. */
import test from 'ava';
import { readHandshake, withoutSecrets } from '../../../src/plugin-host/programs/handshake.ts';

test('both forms of the handshake are parsed', (t) => {
  t.deepEqual(readHandshake('co2|1|poll'), { form: 'poll', version: 1 });
  t.deepEqual(readHandshake('co2|1|http|127.0.0.1:8123|/aB-_9'), { form: 'http', version: 1, port: 8123, path: '/aB-_9' });
  t.deepEqual(readHandshake('co2|1|poll\r'), { form: 'poll', version: 1 });
});

test('a pipe is accepted only from a process that has inherited one', (t) => {
  t.deepEqual(readHandshake('co2|1|pipe', [], { hasPipe: true }), { form: 'pipe', version: 1 });
  t.throws(() => readHandshake('co2|1|pipe'), { code: 'PLUGIN_REFUSED', message: /asks for 'pipe'; expected http/ });
  t.throws(() => readHandshake('co2|1|pipe|3', [], { hasPipe: true }), { code: 'PLUGIN_REFUSED', message: /asks for 'pipe'/ });
});

const WRONG: Readonly<Record<string, RegExp>> = {
  '': /its first line is no handshake: ''/,
  'CO2|1|poll': /no handshake/,
  'co2|2|poll': /it speaks version '2' of the protocol, and this relay speaks 1/,
  'co2|1.0|poll': /version '1\.0'/,
  'co2|-1|poll': /version '-1'/,
  'co2|1': /asks for ''/,
  'co2|1|poll|more': /asks for 'poll'/,
  'co2|1|pipe|x': /asks for 'pipe'; expected http/,
  'co2|1|http|127.0.0.1|/t': /listens at '127\.0\.0\.1'; expected 127\.0\.0\.1:<port>/,
  'co2|1|http|localhost:80|/t': /listens at 'localhost:80'/,
  'co2|1|http|10.0.0.1:80|/t': /listens at '10\.0\.0\.1:80'/,
  'co2|1|http|127.0.0.1:0|/t': /127\.0\.0\.1:0/,
  'co2|1|http|127.0.0.1:65536|/t': /65536/,
  'co2|1|http|user@127.0.0.1:80|/t': /user@/,
  'co2|1|http|127.0.0.1:80|t': /the path in its handshake/,
  'co2|1|http|127.0.0.1:80|/a b': /the path in its handshake/,
  'co2|1|http|127.0.0.1:80|/a\tHTTP': /the path in its handshake/,
  'co2|1|http|127.0.0.1:80|/t|more': /the path in its handshake/,
  'co2|1|http|127.0.0.1:80|/': /the path in its handshake/,
  'Traceback \u001b[1m (most recent call last):': /'Traceback \ufffd\[1m/,
};

for (const [line, reason] of Object.entries(WRONG)) {
  test(`invalid handshake is rejected: ${JSON.stringify(line)}`, (t) => {
    t.throws(() => readHandshake(line), { code: 'PLUGIN_REFUSED', message: reason });
  });
}

const TOKEN = 'k4jX_0q-9ZbW2mYt7LpRs8Vn';

/** Invalid first lines that each contain a secret: the token from the relay, or one that the program generated. */
const LEAKING: readonly string[] = [
  ...['CO2|1|http|127.0.0.1:80|/S', 'co2|9|http|127.0.0.1:80|/S', 'co2|S|poll', 'co2|1|S', 'co2|1|https|127.0.0.1:80|/S'],
  ...['co2|1|http|localhost:80|/S', 'co2|1|http|127.0.0.1:80/S', 'co2|1|http|127.0.0.1:80/S|/x', 'co2|1|http|http://127.0.0.1:80/S'],
  ...['co2|1|http://127.0.0.1:80/S', 'co2|1|http|S|127.0.0.1:80', 'co2|1|http|plugin:S@127.0.0.1:80|/x', 'co2|1|http|127.0.0.1:80|/a b/S'],
  ...['http://127.0.0.1:4711/S', 'https://localhost/S', 'http://plugin:S@127.0.0.1:2004/RPC2', '127.0.0.1:4711/S', '127.0.0.1:4711 /S'],
  ...['co2 1 http 127.0.0.1:4711 /S', 'co2,1,http,127.0.0.1:4711,S', ' co2|1|http|127.0.0.1:4711|/S', '\ufeffco2|1|http|127.0.0.1:4711|/S'],
  ...['token=S', 'CO2_PLUGIN_TOKEN=S', 'Authorization: Bearer S', 'password: "S"', 'listening, secret S', 'http://127.0.0.1:1/?token=S'],
  ...['key=S', 'ready, KEY: S', '{"pass": "S"}', 'pwd=S', 'signing-key=S', 'session=S port=80'],
];

for (const [index, line] of LEAKING.entries()) {
  test(`the error hides the secret, ${index}: ${JSON.stringify(line)}`, (t) => {
    for (const [secret, known] of [
      [TOKEN, []],
      [TOKEN, [TOKEN]],
      ['hunter2', []],
      ['correcthorse', ['correcthorse']],
    ] as const) {
      // A short word in an unexpected place cannot be recognized as a secret.
      if (secret === 'hunter2' && /\|S(?:\||$)/.test(line)) continue;
      const { message } = t.throws(() => readHandshake(line.replaceAll('S', secret), known));
      t.false(message.includes(secret), message);
    }
  });
}

test('lines without a secret are quoted unchanged', (t) => {
  for (const line of [
    'Hello, I am a program',
    '/usr/bin/ham: line 3: spam: command not found',
    'Traceback (most recent call last):',
    'listening on port 8123',
    'the key is missing, and a pass failed',
  ])
    t.is(withoutSecrets(line), line);
});
