/**
 * Options from the environment: every option has one variable, flags win over it, it wins over the file, and mistakes name the variable.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { environmentSource, variableOf } from '../../src/cli/read-options.ts';
import { completeOptions, optionKinds } from '../../src/config/config.ts';
import { RelayError } from '../../src/core/core.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';

const optionsOf = (environment: Readonly<Record<string, string>>): unknown =>
  completeOptions([environmentSource(environment, '/base')], '/base').options;

test('every option has its own variable', (t) => {
  const keys = [...optionKinds().keys()];
  t.true(keys.length > 30);
  t.is(new Set(keys.map(variableOf)).size, keys.length);
  for (const key of keys) t.regex(variableOf(key), /^CO2_[A-Z][A-Z_]*$/);
});

test('variables are parsed to values of each type', (t) => {
  t.like(
    optionsOf({
      CO2_PORT: '1',
      CO2_MAINTAINER: '5',
      CO2_PEERS: 'http://a:1, http://b:2',
      CO2_OUTBOX__MAX_MESSAGES: '7',
      CO2_OUTBOX__MAX_BYTES: '2048',
      CO2_LOG_LEVEL: 'warn',
      CO2_LOG__LEVELS: '{"relay":"debug"}',
      CO2_DATA_DIR: 'state',
      CO2_PLUGINS: '{"ham.spam":{"x":1}}',
      CO2_PLUGIN_LIST: 'ham,eggs',
      CO2_WATCH: 'poll',
      CO2_HOST: '',
    }),
    {
      ...{
        port: 1,
        maintainer: '5',
        peers: ['http://a:1', 'http://b:2'],
        outbox: { maxMessages: 7, maxBytes: 2048 },
        dataDir: '/base/state',
      },
      ...{
        log: { level: 'warn', levels: { relay: 'debug' } },
        plugins: { 'ham.spam': { x: 1 } },
        pluginList: ['ham', 'eggs'],
        host: '127.0.0.1',
        watch: 'poll',
      },
    },
  );
});

test('variables for other programs are ignored, unknown ones rejected with a suggestion', (t) => {
  t.notThrows(() =>
    optionsOf({ CO2_RELAY_URL: 'x', CO2_PLUGIN_DIR: 'x', CO2_PROTOCOL_VERSIONS: '1', CO2_TEST_X: '1', CO2: 'x', HOME: '/' }),
  );
  for (const [name, value, text] of [
    ['CO2_PROT', '1', 'CO2_PROT: unknown option; did you mean "CO2_PORT"?'],
    ['CO2_OUTBOX_MAX_MESSAGES', '1', 'CO2_OUTBOX_MAX_MESSAGES: unknown option; did you mean "CO2_OUTBOX__MAX_MESSAGES"?'],
    ['CO2_PORT', 'http', "CO2_PORT: found 'http', expected a number"],
    ['CO2_WATCH', 'pol', 'CO2_WATCH: found \'pol\', expected one of true, false, "poll"'],
    ['CO2_PORT', '65536', 'CO2_PORT: found 65536, expected at most 65535'],
    ['CO2_PEERS', 'next-door', "CO2_PEERS: found 'next-door', expected a URL like http://192.168.1.7:2004"],
    ['CO2_LOG_LEVEL', 'loud', 'CO2_LOG_LEVEL: found \'loud\', expected one of "debug", "info", "warn", "error", "off"'],
    ['CO2_PLUGINS', '{', "CO2_PLUGINS: found '{', expected JSON"],
    ['CO2_ACCESS__TOKENS', '{"ci":{"secret":"abc"}}', /^CO2_ACCESS__TOKENS: ci\.secret: there is no such option/],
    ['CO2_ACCESS__TOKENS', '{"ci":{"env":5}}', 'CO2_ACCESS__TOKENS: ci.env: found 5, expected a value of type string'],
    ['CO2_LIMITS__TOKEN', '{"burst":5}', 'CO2_LIMITS__TOKEN: perSecond: is missing, expected a value of type number'],
    ['CO2_TLS', '{}', 'CO2_TLS: unknown option; set its fields: CO2_TLS__CERT_FILE, CO2_TLS__KEY_FILE, CO2_TLS__CA_FILE'],
    ['CO2_TLS__CERT_FILE', 'a.pem', 'CO2_TLS__KEY_FILE: is missing, expected a value of type string'],
  ] as const) {
    const error = t.throws(() => optionsOf({ [name]: value }), undefined, name);
    t.true(RelayError.is(error) && error.code === 'CONFIG_INVALID');
    if (typeof text === 'string') t.is(error.message, text);
    else t.regex(error.message, text);
  }
  t.throws(() => optionsOf({ CO2_LOG_LEVEL: 'info', CO2_LOG__LEVEL: 'warn' }), { message: /set the same option/ });
});

/** What a container gets beside a service `name` of this address and port. */
function ofService(name: string, address: string, port: number, protocol = 'tcp'): Record<string, string> {
  const host = address.includes(':') ? `[${address}]` : address;
  const url = `${protocol}://${host}:${port}`;
  const at = `${name}_PORT_${port}_${protocol.toUpperCase()}`;
  return {
    ...{ [`${name}_SERVICE_HOST`]: address, [`${name}_SERVICE_PORT`]: String(port), [`${name}_SERVICE_PORT_RPC`]: String(port) },
    ...{ [`${name}_PORT`]: url, [at]: url, [`${at}_PROTO`]: protocol, [`${at}_PORT`]: String(port), [`${at}_ADDR`]: address },
  };
}

test('service variables of Kubernetes are ignored for any service name, misspelled options are not', (t) => {
  for (const service of [
    ofService('CO2_RELAY', '10.0.0.1', 2004),
    ofService('CO2', '10.0.0.1', 2004),
    ofService('CO2_HOST', 'fd00::1', 2004),
    ofService('CO2_RELAY_PORT', '10.0.0.1', 443, 'udp'),
  ]) {
    const source = environmentSource({ ...service, CO2_MAINTAINER: 'me' }, '/base');
    t.deepEqual(source.values, { maintainer: 'me' });
    t.deepEqual(source.ignored.toSorted(), Object.keys(service).toSorted());
  }
  t.like(optionsOf({ CO2_PORT: '2005', CO2_RELAY_SERVICE_HOST: '10.0.0.1' }), { port: 2005 });
  for (const [name, value] of [
    ['CO2_SERVICE_HOST', 'localhost'],
    ['CO2_SERVICE_PORT', '2004'],
    ['CO2_RELAY_PORT', '2004'],
    ['CO2_PORTS', 'tcp://10.0.0.1:2004'],
    ['CO2_RELAY_PORT_2004_TCP_ADR', '10.0.0.1'],
  ] as const)
    t.throws(() => optionsOf({ [name]: value }), { message: new RegExp(`^${name}: unknown option`) }, name);
});

test.serial('the relay starts with service variables of Kubernetes and logs that it ignores them', async (t) => {
  const relay = await startCo2(t, { env: { ...ofService('CO2_RELAY', '10.0.0.1', 2004), ...ofService('CO2', '10.0.0.1', 2004) } });
  const said = await relay.stderr.line(/ignored/);
  t.regex(said, / INFO app ignored service variables of Kubernetes: CO2_RELAY_SERVICE_HOST, .*CO2_PORT, .*; set enableServiceLinks: false/);
  relay.kill('SIGTERM');
  t.is((await relay.exit).code, 0);
});

test.serial('flags override the environment, the environment the file, the file the defaults', async (t) => {
  const files = { 'config.ts': `export default { host: '127.0.0.4', maintainer: 'file', callTimeoutMs: 5 };` };
  const env = { CO2_HOST: '127.0.0.5', CO2_MAINTAINER: 'environment' };
  const relay = await startCo2(t, { files, env, args: ['--host', '127.0.0.6'] });
  t.like(await relay.call('system.get_properties'), { host: '127.0.0.6', maintainer: 'environment' });
  const { stdout } = await runCo2(t, { args: ['config', 'show', '--json', '--host', '127.0.0.6'], env, files }).exit;
  t.like(JSON.parse(stdout.join('')) as object, {
    host: { value: '127.0.0.6', from: '--host' },
    maintainer: { value: 'environment', from: 'CO2_MAINTAINER' },
    callTimeoutMs: { value: 5, from: 'config.ts' },
    port: { value: 2004, from: 'default' },
  });
});

test.serial('config check accepts a valid configuration and reports an error without starting anything', async (t) => {
  const right = await runCo2(t, { args: ['config', 'check'], files: { 'config.ts': 'export default {};' } }).exit;
  t.deepEqual({ ...right }, { code: 0, signal: null, stdout: ['the configuration is valid (config.ts)'], stderr: [] });
  for (const [env, says] of [
    [{ CO2_PROT: '1' }, /^co2: CO2_PROT: .*"CO2_PORT"/],
    [{ CO2_PORT: 'x' }, /^co2: CO2_PORT: found 'x'/],
    [{ CO2_CONFIG: 'other.ts' }, /other\.ts: no such file/],
  ] as const) {
    const wrong = await runCo2(t, { args: ['config', 'check'], env }).exit;
    t.like(wrong, { code: 2, stdout: [] });
    t.is(wrong.stderr.length, 1);
    t.regex(wrong.stderr[0]!, says);
  }
  for (const [args, says] of [
    [['config', 'chekc'], /^co2: unknown command 'chekc'.*; see co2 config --help$/],
    [['config'], /^co2: config requires one of check and show; see co2 config --help$/],
    [['record', 'start'], /^co2: missing required argument 'name'; see co2 record start --help$/],
    [['config', 'show', '--prot'], /^co2: unknown option '--prot'.*; see co2 config show --help$/],
  ] as const) {
    const { code, stderr } = await runCo2(t, { args }).exit;
    t.is(code, 2);
    t.regex(stderr.join('\n'), says);
  }
});

const program = (record: string): string => `{ programs: [{ name: 'first', exec: 'sh' }, { name: 'weather', ${record} }] }`;

test.serial(
  'config check validates secrets, certificates, names of plugins and executables of programs without starting anything',
  async (t) => {
    const wrong: readonly (readonly [config: string, says: RegExp])[] = [
      ["{ access: { tokens: { ci: { file: 'ci.token' } } } }", /access\.tokens\.ci: .*ci\.token cannot be read/],
      ["{ tls: { certFile: 'cert.pem', keyFile: 'key.pem' } }", /tls\.certFile: .*cert\.pem cannot be read/],
      ["{ plugins: { 'ham.spma': {} } }", /"ham\.spma".*"ham\.spam"/],
      ["{ pluginsDir: 'elsewhere' }", /elsewhere: there is no such directory/],
      [program("exec: 'bin/weather'"), /^co2: config\.ts: programs: weather cannot be started: there is no \/.*\/bin\/weather$/],
      [program("exec: 'no-such-weather'"), /programs: weather .*: there is no program 'no-such-weather' on the PATH/],
      [program("exec: './config.ts'"), /programs: weather .*: \/.*\/config\.ts may not be executed by this user; chmod \+x/],
      [program("exec: './plugins'"), /programs: weather .*: \/.*\/plugins is not a regular file/],
      [program("exec: 'sh', cwd: 'nowhere'"), /programs: weather .*: its working directory \/.*\/nowhere \(cwd\) is no directory/],
      ["{ programs: [{ name: 'ham.spam', exec: 'sh' }] }", /programs: found two plugins 'ham\.spam'/],
    ];
    for (const [config, says] of wrong) {
      const cwd = pluginsDir(t, { 'config.ts': `export default ${config};`, 'plugins/ham/spam.ts': 'throw new Error("run");' });
      const { code, stderr } = await runCo2(t, { cwd, args: ['config', 'check'] }).exit;
      t.is(code, 2, config);
      t.regex(stderr.join('\n'), says);
      t.false(existsSync(join(cwd, '.co2', 'admin.token')));
    }
  },
);

test.serial('config check warns about services and recordings of plugins that do not exist', async (t) => {
  const config = `export default {
    bundled: ['watch', 'react', 'sense'],
    services: { web: { watchers: { told: { type: 'wacth.http' }, seen: { type: 'ham.spam:nodes' } }, reactors: { note: { type: 'react.fielog' } } } },
    recordings: { 'sense.system:record': {}, 'sense.systme:record': {} },
  };`;
  const cwd = pluginsDir(t, { 'config.ts': config, 'plugins/ham/spam.ts': 'throw new Error("run");' });
  const { code, stdout, stderr } = await runCo2(t, { cwd, args: ['config', 'check'] }).exit;
  t.deepEqual([code, stdout], [0, ['the configuration is valid (config.ts)']]);
  t.deepEqual(stderr, [
    `services.web.watchers.told: there is no plugin 'wacth.http'; did you mean "watch.http"?`,
    `services.web.reactors.note: there is no plugin 'react.fielog'; did you mean "react.filelog"?`,
    `recordings: there is no plugin 'sense.systme'; did you mean "sense.system"?`,
  ]);
});

test.serial('config show lists every option with its value, or null', async (t) => {
  const files = {
    'config.ts': `export default {
      maxWrongCredentials: 7,
      limits: { token: { perSecond: 3, burst: 4 } },
      access: { tokens: { ci: { env: 'CI_TOKEN' } } },
      log: { file: 'relay.log' },
    };`,
  };
  const { stdout } = await runCo2(t, { args: ['config', 'show', '--json'], files }).exit;
  const all = JSON.parse(stdout.join('')) as Record<string, { value: unknown; from: string }>;
  t.deepEqual(Object.keys(all).sort(), [...optionKinds().keys()].sort());
  t.false(JSON.stringify(all).includes('(hidden)'));
  t.like(all, {
    maxWrongCredentials: { value: 7, from: 'config.ts' },
    'limits.token': { value: { perSecond: 3, burst: 4 }, from: 'config.ts' },
    'access.tokens': { value: { ci: { env: 'CI_TOKEN' } }, from: 'config.ts' },
    'log.accessFile': { value: null, from: 'default' },
    'tls.certFile': { value: null, from: 'default' },
    unixSocket: { value: null, from: 'default' },
    maxBodyBytes: { value: 8 * 1024 * 1024, from: 'default' },
  });
  const lines = (await runCo2(t, { args: ['config', 'show'], files }).exit).stdout;
  t.deepEqual(lines.map((line) => line.split(' ', 1)[0]).sort(), Object.keys(all).sort());
  t.true(lines.some((line) => /^log\.accessFile +- +default$/.test(line)));
});

test.serial('config show hides secrets', async (t) => {
  const files = {
    'config.ts': `export default {
      peers: ['http://ann:wonder@192.0.2.1:2004', 'http://192.0.2.2:2004', { url: 'http://bob:wonder@192.0.2.3:2004', send: { nil: true } }],
      programs: [{ name: 'weather', exec: 'sh', args: ['--key-file', 'k', '--api-key', 'wonder', '--token=wonder', 'http://me:wonder@x', 'windy'],
        env: { CITY: 'wonder', TOKEN: 'wonder' }, config: { secret: 'wonder', colour: 'blue' } }],
      plugins: { 'ham.spam': { colour: 'red', apiKey: 'wonder', deep: [{ password: 'wonder', url: 'https://wonder@x/y' }] } },
    };`,
  };
  for (const more of [[], ['--json']]) {
    const { code, stdout } = await runCo2(t, { args: ['config', 'show', ...more], files }).exit;
    const text = stdout.join('\n');
    t.is(code, 0);
    t.false(text.includes('wonder'), text);
    for (const shown of [
      'http://192.0.2.2:2004',
      '(hidden)@192.0.2.1:2004',
      '(hidden)@192.0.2.3:2004',
      'red',
      'CITY',
      'windy',
      'blue',
      '--key-file',
      '--api-key',
    ])
      t.true(text.includes(shown), shown);
  }
});

test.serial('config check names all mistakes at once, as JSON too', async (t) => {
  const config = "export default { prot: 1, hosst: 'x', outbox: { maxMessages: 0 }, peers: ['ftp://b'] };";
  const cwd = pluginsDir(t, { 'config.ts': config });
  const texts = [
    /^config\.ts: prot: there is no such option; did you mean "port"\?$/,
    /^config\.ts: hosst: there is no such option; did you mean "host"\?$/,
    /^config\.ts: outbox\.maxMessages: found 0, expected at least 1$/,
    /^config\.ts: peers\.0: found 'ftp:\/\/b', expected a URL like/,
    /^--port: found 99999, expected at most 65535$/,
  ];
  const text = await runCo2(t, { args: ['config', 'check', '--port', '99999'], cwd }).exit;
  t.deepEqual([text.code, text.stdout, text.stderr.length], [2, [], texts.length], text.stderr.join('\n'));
  for (const says of texts)
    t.true(
      text.stderr.some((line) => says.test(line.replace('co2: ', ''))),
      `${String(says)} in\n${text.stderr.join('\n')}`,
    );
  const env = { CO2_PROT: '1', CO2_DRAIN_MS: 'soon', CO2_PLUGINS: '{' };
  const variables = await runCo2(t, { args: ['config', 'check', '--port', '99999'], cwd, env }).exit;
  const more = ["CO2_DRAIN_MS: found 'soon', expected a number", "CO2_PLUGINS: found '{', expected JSON"];
  t.is(variables.stderr.length, texts.length + 3, variables.stderr.join('\n'));
  for (const line of more) t.true(variables.stderr.includes(`co2: ${line}`), line);
  const json = await runCo2(t, { args: ['config', 'check', '--json', '--port', '99999'], cwd }).exit;
  const report = JSON.parse(json.stdout.join('\n')) as { valid: boolean; problems: string[] };
  t.deepEqual([json.code, report.valid, report.problems.length], [2, false, texts.length]);
  const start = await runCo2(t, { args: ['--port', '99999'], cwd }).exit;
  t.deepEqual([start.code, start.stderr.length], [2, 1], 'a start names the first');
  const good = await runCo2(t, { args: ['config', 'check', '--json'], cwd: pluginsDir(t, {}) }).exit;
  t.deepEqual([good.code, JSON.parse(good.stdout.join('\n'))], [0, { valid: true, file: 'no file, defaults', problems: [], warnings: [] }]);
});
