/** The operator's configuration: complete, checked, frozen, and every mistake answered with place, key, finding and expectation. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { globSync } from 'glob';
import ts from 'typescript';
import { completeOptions, defineConfig } from '../../src/config/config.ts';
import type { ConfigSource, Options } from '../../src/config/config.ts';
import { RelayError } from '../../src/core/core.ts';

const BASE = '/base';
const file = (values: unknown, baseDir = '/conf'): ConfigSource => ({ values, baseDir, nameOf: (key) => `config.ts: ${key}` });
const flags = (values: unknown): ConfigSource => ({ values, baseDir: '/cwd', nameOf: (key) => `--${key}` });
const optionsOf = (...sources: ConfigSource[]): Options => completeOptions(sources, BASE).options;

// What the comments of the options say.
const DEFAULTS = {
  host: '127.0.0.1',
  port: 2004,
  allowedHosts: [],
  allowedOrigins: [],
  trustedProxies: [],
  maxBufferedBytes: 256 * 1024 * 1024,
  acceptGzip: false,
  maxBodyBytes: 8 * 1024 * 1024,
  requestTimeoutMs: 30_000,
  maxConnections: 2000,
  maxWrongCredentials: 10,
  fastPath: true,
  dataDir: '/base/.co2',
  pluginsDir: '/base/plugins',
  bundled: [],
  pluginPackages: true,
  projectDir: '/base',
  plugins: {},
  relayPlugins: [],
  hookTimeoutMs: 1000,
  hookLine: { maxMessages: 1000, maxBytes: 16 * 1024 * 1024 },
  programs: [],
  isolation: {},
  maxMemoryMb: 256,
  durableInbox: { maxMessages: 1_000_000, maxBytes: 1_073_741_824, keepMs: 604_800_000 },
  inbox: { maxMessages: 1000, maxBytes: 16 * 1024 * 1024, overflow: 'drop-oldest' },
  setupTimeoutMs: 10_000,
  strictStart: false,
  exitTimeoutMs: 5000,
  receiveTimeoutMs: 60_000,
  loopWarningMs: 250,
  allowAddPrograms: false,
  watch: true,
  peers: [],
  trust: 'pin',
  outbox: { maxMessages: 10_000, maxBytes: 64 * 1024 * 1024 },
  retry: { minMs: 250, maxMs: 60_000 },
  peerTimeoutMs: 10_000,
  peerPingIntervalMs: 60_000,
  discovery: false,
  discoveryPort: 5353,
  discoveryIntervalMs: 60_000,
  drainMs: 5000,
  maxSatellites: 100,
  pingIntervalMs: 30_000,
  maxPingFails: 3,
  originCheck: 'strict',
  access: {
    anonymous: ['read'],
    local: ['read', 'message', 'call'],
    peer: ['read', 'message', 'call'],
    satellite: ['read', 'message', 'call'],
    tokens: {},
  },
  limits: {
    anonymous: { perSecond: 50, burst: 200 },
    local: { perSecond: 5000, burst: 20_000 },
    peer: { perSecond: 5000, burst: 20_000 },
    satellite: { perSecond: 5000, burst: 20000 },
    token: { perSecond: 1000, burst: 5000 },
  },
  callTimeoutMs: 60_000,
  maxMulticall: 100,
  store: { minFreeBytes: 64 * 1024 * 1024, minFreePercent: 10 },
  work: {},
  workLimits: {
    ...{ maxRunning: 8, maxPending: 10_000, ttlMs: 86_400_000, timeoutMs: 3_600_000 },
    ...{ maxOutputBytes: 4 * 1024 ** 3, maxBytes: 16 * 1024 ** 3, keepMs: 7 * 86_400_000, maxKept: 10_000 },
  },
  recordings: {},
  recordingLimits: {
    ...{
      directories: [],
      maxFrameBytes: 1024 ** 2,
      maxBufferedBytes: 64 * 1024 ** 2,
      maxFileBytes: 64 * 1024 ** 2,
      keepFiles: 4,
      maxFiles: 100,
    },
    ...{ keepMs: 7 * 86_400_000, maxStoredBytes: 64 * 1024 ** 2, maxCommands: 100 },
  },
  services: {},
  serviceLimits: { maxNodes: 10_000, maxQueued: 1_000, acceptTimeoutMs: 10_000, reactTimeoutMs: 60_000, stopTimeoutMs: 5_000 },
  sharedWatchers: [],
  maintainer: '',
  log: { level: 'info', levels: {} },
};

test('without a source every default is there', (t) => {
  const { options, isSet } = completeOptions([], BASE);
  t.deepEqual(JSON.parse(JSON.stringify(options)), DEFAULTS);
  t.false(isSet('port'));
});

test('an explicit undefined is the default, nested too', (t) => {
  const { options, isSet } = completeOptions(
    [file({ port: undefined, publicAddress: undefined, outbox: { maxMessages: undefined }, log: undefined })],
    BASE,
  );
  t.deepEqual(JSON.parse(JSON.stringify(options)), DEFAULTS);
  t.false(isSet('port'));
});

test('what is set is set, the rest of a group keeps its default, and a later source wins', (t) => {
  const { options, isSet } = completeOptions(
    [
      file({ port: 1, maintainer: 'Ada', outbox: { maxMessages: 5 }, peers: ['http://a:1', 'http://b:1'] }),
      flags({ port: 2, outbox: { maxBytes: 2048 }, peers: ['http://c:1'], maintainer: undefined }),
    ],
    BASE,
  );
  t.like(options, { port: 2, maintainer: 'Ada', outbox: { maxMessages: 5, maxBytes: 2048 } });
  t.deepEqual(options.peers, ['http://c:1']);
  t.true(isSet('port') && isSet('maintainer') && isSet('outbox'));
  t.false(isSet('host'));
});

test("a plugin's configuration is replaced as a whole and stays the plugin's own object", (t) => {
  const own = { deep: { list: [1] } };
  const options = optionsOf(file({ plugins: { 'a.b': { x: 1 } } }), flags({ plugins: { 'ham.spam': own } }));
  t.deepEqual(Object.keys(options.plugins), ['ham.spam']);
  t.is(options.plugins['ham.spam'], own);
  t.false(Object.isFrozen(own));
});

test('relative paths start where they are written, absolute ones stay', (t) => {
  t.like(
    optionsOf(
      file({ dataDir: 'state', pluginsDir: '../p', log: { file: 'l/x.log' } }, '/etc/co2'),
      flags({ log: { accessFile: './a.log' } }),
    ),
    {
      dataDir: '/etc/co2/state',
      pluginsDir: '/etc/p',
      log: { level: 'info', levels: {}, file: '/etc/co2/l/x.log', accessFile: '/cwd/a.log' },
    },
  );
  t.is(optionsOf(file({ dataDir: '/var/co2' })).dataDir, '/var/co2');
  const { tls, access } = optionsOf(
    file({ tls: { certFile: 'c', keyFile: '/k' }, access: { tokens: { file: { file: 's/x' }, ci: { env: 'CI' } } } }, '/etc/co2'),
  );
  t.deepEqual({ ...tls }, { certFile: '/etc/co2/c', keyFile: '/k' });
  t.like(access.tokens, { file: { file: '/etc/co2/s/x' }, ci: { env: 'CI' } });
});

test('the files among relayPlugins start where they are written, names of modules stay, and a configuration stays the plugin’s own object', (t) => {
  const config = { deep: [1] };
  const { relayPlugins } = optionsOf(
    file({ relayPlugins: ['./a.ts', '../b.ts', '/c.ts', 'ham.filter', { use: './d.ts', config }, { use: 'ham.spam' }] }, '/etc/co2'),
  );
  t.deepEqual(
    relayPlugins.map((entry) => (typeof entry === 'string' ? entry : entry.use)),
    ['/etc/co2/a.ts', '/etc/b.ts', '/c.ts', 'ham.filter', '/etc/co2/d.ts', 'ham.spam'],
  );
  const entry = relayPlugins[4];
  t.is(typeof entry === 'object' ? entry.config : undefined, config);
  t.false(Object.isFrozen(config) || Object.isFrozen(config.deep));
});

test('the options are deeply frozen, but the objects of the operator are not', (t) => {
  const written = { peers: ['http://a:1'], access: { anonymous: ['message'] }, log: { levels: { relay: 'debug' } } };
  const { plugins, ...options } = optionsOf(file(written));
  t.truthy(plugins);
  const open: unknown[] = Object.values(options);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    t.true(Object.isFrozen(next), JSON.stringify(next));
    open.push(...(Object.values(next) as unknown[]));
  }
  t.true(Object.isFrozen(optionsOf()));
  t.notThrows(() => written.peers.push('http://b:1'));
  t.deepEqual(optionsOf().peers, [], 'a default is nobody else’s');
});

const KEYS: readonly (readonly [values: object, text: string])[] = [
  [{ prot: 1 }, 'config.ts: prot: there is no such option; did you mean "port"?'],
  [{ Port: 1 }, 'config.ts: Port: there is no such option; did you mean "port"?'],
  [{ pluginDir: 'x' }, 'config.ts: pluginDir: there is no such option; did you mean "pluginsDir"?'],
  [{ maxbodybytes: 1 }, 'config.ts: maxbodybytes: there is no such option; did you mean "maxBodyBytes"?'],
  [{ peer: [] }, 'config.ts: peer: there is no such option; did you mean "peers"?'],
  [{ outbox: { maxMessage: 1 } }, 'config.ts: outbox.maxMessage: there is no such option; did you mean "outbox.maxMessages"?'],
  [{ log: { lvl: 'info' } }, 'config.ts: log.lvl: there is no such option; did you mean "log.level"?'],
  [{ tls: { certFile: 'a', keyFile: 'b', cert: 'a' } }, 'config.ts: tls.cert: there is no such option; did you mean "tls.certFile"?'],
  [
    { access: { tokens: { ci: { env: 'A', method: [] } } } },
    'config.ts: access.tokens.ci.method: there is no such option; did you mean "access.tokens.ci.methods"?',
  ],
  [{ access: { local: { classes: [], method: [] } } }, 'config.ts: access.local.method: there is no such option'],
  [{ limits: { locals: 1 } }, 'config.ts: limits.locals: there is no such option; did you mean "limits.local"?'],
  [{ somethingElseEntirely: 1 }, 'config.ts: somethingElseEntirely: there is no such option'],
  [{ constructor: 1 }, 'config.ts: constructor: there is no such option'],
  [{ toString: 1 }, 'config.ts: toString: there is no such option'],
];

for (const [values, text] of KEYS) {
  test(`unknown key ${JSON.stringify(values)}`, (t) => {
    t.true(refusal(values).startsWith(text), refusal(values));
  });
}

const VALUES: readonly (readonly [values: object, pattern: RegExp])[] = [
  [{ retry: { minMs: 9, maxMs: 5 } }, /^config\.ts: retry: .*expected minMs at most maxMs$/],
  [{ peers: ['ftp://user:secret@host'] }, /^config\.ts: peers\.0: found 'ftp:\/\/…@host', expected /],
  [{ peers: ['http://a:%zz@host'] }, /^config\.ts: peers\.0: found 'http:\/\/…@host', expected .*percent-encoded/],
  [{ port: '2004' }, /^config\.ts: port: found '2004', expected a value of type number$/],
  [{ port: 1.5 }, /^config\.ts: port: found 1\.5, expected a whole number$/],
  [{ port: -1 }, /^config\.ts: port: found -1, expected at least 0$/],
  [{ port: 65536 }, /^config\.ts: port: found 65536, expected at most 65535$/],
  [{ port: NaN }, /^config\.ts: port: found NaN, expected /],
  [{ port: null }, /^config\.ts: port: found null, expected a value of type number$/],
  [{ port: Infinity }, /^config\.ts: port: found Infinity, expected /],
  [{ host: '' }, /^config\.ts: host: found '', expected a non-empty text$/],
  [{ host: 5 }, /^config\.ts: host: found 5, expected a value of type string$/],
  [{ dataDir: '' }, /^config\.ts: dataDir: found '', expected a non-empty text$/],
  [{ publicAddress: 'relay.example' }, /^config\.ts: publicAddress: found 'relay\.example', expected an IP address that a host can have$/],
  [{ publicAddress: '10.0.0.0/8' }, /expected an IP address that a host can have$/],
  [{ publicAddress: '0.0.0.0' }, /expected an IP address that a host can have$/],
  [{ publicAddress: '224.0.0.1' }, /expected an IP address that a host can have$/],
  [{ publicAddress: '::' }, /expected an IP address that a host can have$/],
  [{ publicAddress: '0x7f.1' }, /expected an IP address that a host can have$/],
  [{ trustedProxies: ['10.0.0.1'] }, /^config\.ts: trustedProxies\.0: found '10\.0\.0\.1', expected a network like 10\.0\.0\.0\/8$/],
  [{ trustedProxies: '10.0.0.0/8' }, /^config\.ts: trustedProxies: found '10\.0\.0\.0\/8', expected a value of type array$/],
  [{ allowedOrigins: ['panel.example'] }, /^config\.ts: allowedOrigins\.0: .*expected an origin like https:\/\/panel\.example$/],
  [{ allowedOrigins: ['https://panel.example/'] }, /expected an origin/],
  [{ allowedOrigins: ['null'] }, /expected an origin/],
  [
    { peers: ['192.168.1.7:2004'] },
    /^config\.ts: peers\.0: found '192\.168\.1\.7:2004', expected a URL like http:\/\/192\.168\.1\.7:2004$/,
  ],
  [{ peers: ['http://a:1', 'ftp://b'] }, /^config\.ts: peers\.1: .*expected a URL like/],
  [{ peers: [{ url: 'ftp://b' }] }, /^config\.ts: peers\.0\.url: found 'ftp:\/\/b', expected a URL like/],
  [{ peers: ['http://a:1', { send: {} }] }, /^config\.ts: peers\.1\.url: is missing, expected/],
  [
    { peers: [{ url: 'http://a:1', send: { nill: true } }] },
    /^config\.ts: peers\.0\.send\.nill: there is no such option; did you mean "peers\.0\.send\.nil"\?$/,
  ],
  [
    { peers: [{ url: 'http://a:1', send: { doubles: 'short' } }] },
    /^config\.ts: peers\.0\.send\.doubles: found 'short', expected one of "decimal"/,
  ],
  [{ peers: [5] }, /^config\.ts: peers\.0: found 5, expected a value of type string$/],
  [{ peers: ['memory://b'] }, /^config\.ts: peers\.0: found 'memory:\/\/b', expected a URL like http:/],
  [{ peers: [{ url: 'memory://b' }] }, /^config\.ts: peers\.0\.url: found 'memory:\/\/b', expected a URL like http:/],
  [{ peers: [{ url: 'memory://b', address: '192.168.1.7' }] }, /^config\.ts: peers\.0\.address: .*expected an address and a port like 192/],
  [{ peers: [{ url: 'memory://b', address: 'host:2004' }] }, /^config\.ts: peers\.0\.address: .*expected an address and a port/],
  [{ peers: [{ url: 'memory://b', address: '192.168.1.7:0' }] }, /^config\.ts: peers\.0\.address: .*expected an address and a port/],
  [
    { peers: [{ url: 'http://b', address: '192.168.1.7:2004' }] },
    /^config\.ts: peers\.0\.url: found 'http:\/\/b', expected a URL like memory:\/\/b, which a relay plugin carries, since there is an address$/,
  ],
  [{ relayPlugins: './a.ts' }, /^config\.ts: relayPlugins: found '\.\/a\.ts', expected a value of type array$/],
  [{ relayPlugins: [''] }, /^config\.ts: relayPlugins\.0: found '', expected a non-empty text$/],
  [{ relayPlugins: [{ config: {} }] }, /^config\.ts: relayPlugins\.0\.use: is missing, expected a value of type string$/],
  [
    { relayPlugins: [{ use: './a.ts', confg: {} }] },
    /^config\.ts: relayPlugins\.0\.confg: there is no such option; did you mean "relayPlugins\.0\.config"\?$/,
  ],
  [{ hookTimeoutMs: 0 }, /^config\.ts: hookTimeoutMs: found 0, expected at least 1$/],
  [{ outbox: { maxMessages: 0 } }, /^config\.ts: outbox\.maxMessages: found 0, expected at least 1$/],
  [{ outbox: 5 }, /^config\.ts: outbox: found 5, expected a value of type object$/],
  [{ outbox: [] }, /^config\.ts: outbox: found an array, expected a value of type object$/],
  [
    { access: { anonymous: ['write'] } },
    /^config\.ts: access\.anonymous\.0: found 'write', expected one of "read", "message", "call", "admin"$/,
  ],
  [{ access: { anonymous: 'read' } }, /^config\.ts: access\.anonymous: found 'read', expected a value of type array$/],
  [{ log: { level: 'verbose' } }, /^config\.ts: log\.level: found 'verbose', expected one of "debug", "info", "warn", "error", "off"$/],
  [{ log: { levels: { realy: 'debug' } } }, /^config\.ts: log\.levels\.realy: .*a category of the log: app, http,/],
  [{ log: { levels: { 'plugin.my-ham': 'debug' } } }, /^config\.ts: log\.levels\.plugin\.my-ham: .*a category of the log: app, http,/],
  [{ log: { levels: { 'relay.x': 'debug' } } }, /a category of the log: app, http,/],
  [{ log: { levels: { access: 'off' } } }, /requests are logged by log\.accessFile/],
  [{ log: { levels: { relay: 'loud' } } }, /^config\.ts: log\.levels\.relay: found 'loud', expected one of/],
  [{ access: { anonymous: { classes: ['write'] } } }, /^config\.ts: access\.anonymous\.classes\.0: found 'write', expected one of/],
  [
    { access: { local: { classes: ['read'], methods: ['a b'] } } },
    /^config\.ts: access\.local\.methods\.0: found 'a b', expected a name of a/,
  ],
  [{ access: { local: { classes: ['read'], methods: ['a.**'] } } }, /methods\.0: found 'a\.\*\*', expected a name of a method/],
  [{ access: { peer: { methods: [] } } }, /^config\.ts: access\.peer\.classes: is missing, expected a value of type array$/],
  [{ access: { tokens: { ci: {} } } }, /^config\.ts: access\.tokens\.ci: found an object, expected either file or env/],
  [{ access: { tokens: { ci: { env: 'A', file: 'b' } } } }, /expected either file or env/],
  [{ access: { tokens: { ci: { env: 'A', expires: 'soon' } } } }, /tokens\.ci\.expires: found 'soon', expected a date like 2027-01-31$/],
  [{ access: { tokens: { admin: { env: 'A' } } } }, /^config\.ts: access\.tokens\.admin: /],
  [{ access: { tokens: { 'a b': { env: 'A' } } } }, /^config\.ts: access\.tokens\.a b: /],
  [{ limits: { local: { perSecond: 5 } } }, /^config\.ts: limits\.local\.burst: is missing, expected a value of type number$/],
  [{ limits: { local: { perSecond: 0, burst: 1 } } }, /^config\.ts: limits\.local\.perSecond: found 0, expected at least 0\.001$/],
  [{ maxWrongCredentials: 0 }, /^config\.ts: maxWrongCredentials: found 0, expected at least 1$/],
  [{ tls: { certFile: 'a.pem' } }, /^config\.ts: tls\.keyFile: is missing, expected a value of type string$/],
  [{ unixSocket: 'x'.repeat(108) }, /^config\.ts: unixSocket: found 'x+.*', expected at most 107 characters$/],
  [{ tls: true }, /^config\.ts: tls: found true, expected a value of type object$/],
  [{ originCheck: 'off' }, /^config\.ts: originCheck: found 'off', expected /],
  [{ callTimeoutMs: 1e12 }, /^config\.ts: callTimeoutMs: found 1000000000000, expected at most 86400000$/],
  [{ maintainer: () => 1 }, /^config\.ts: maintainer: found a function, expected a value of type string$/],
  [{ maintainer: 5n }, /^config\.ts: maintainer: found a bigint, expected a value of type string$/],
  [{ host: `a\n\u001b[31m${'x'.repeat(500)}`, port: 'x' }, /^[\x20-\uffff]{1,200}$/],
  [{ plugins: 5 }, /^config\.ts: plugins: found 5, expected a value of type (record|object)$/],
  [
    { bundled: ['chatt'] },
    /^config\.ts: bundled\.0: found 'chatt', expected one of "chat", "example", "pd", "react", "sense", "task", "validate", "watch"$/,
  ],
  [{ pluginPackages: 'yes' }, /^config\.ts: pluginPackages: found 'yes', expected a value of type boolean$/],
];

for (const [index, [values, pattern]] of VALUES.entries()) {
  test(`wrong value ${index}: ${Object.keys(values).join()}`, (t) => {
    t.regex(refusal(values), pattern);
  });
}

test('a source that is not an object of options', (t) => {
  for (const [values, found] of [
    [undefined, 'undefined'],
    [null, 'null'],
    [[], 'an array'],
    ['x', "'x'"],
    [() => 1, 'a function'],
  ] as const) {
    t.is(refusal(values), `config.ts: : found ${found}, expected an object of options`);
  }
});

test('the place of a mistake is where it was written, whatever the other source says', (t) => {
  t.regex(refusalOf(file({}), flags({ port: 'x' })), /^--port: /);
  t.regex(refusalOf(file({ port: 'x' }), flags({ port: 5 })), /^config\.ts: port: /);
});

test('defineConfig returns its argument', (t) => {
  const config = { port: 5 };
  t.is(defineConfig(config), config);
});

function refusal(values: unknown): string {
  return refusalOf(file(values));
}

function refusalOf(...sources: ConfigSource[]): string {
  try {
    completeOptions(sources, BASE);
  } catch (error) {
    if (RelayError.is(error) && error.code === 'CONFIG_INVALID') return error.message;
    throw error;
  }
  return 'it was accepted';
}

const root = fileURLToPath(new URL('../../src/', import.meta.url));
const OPTION_FILES = globSync(['*/options.ts', 'plugin-host/*/options.ts', 'config/log-options.ts'], {
  // The first only puts together those of the directories below it; the others are those of the public client and the codec.
  ignore: ['plugin-host/options.ts', 'client/options.ts', 'xmlrpc/options.ts'],
  cwd: root,
  posix: true,
}).filter((path) => !path.startsWith('cli/'));

test('the files of all options are found', (t) => {
  t.true(OPTION_FILES.length >= 6, OPTION_FILES.join());
});

for (const path of OPTION_FILES) {
  test(`every option in ${path} has a comment that says its default`, (t) => {
    const fields = fieldsIn(path);
    t.true(fields.length > 0);
    for (const { name, comment } of fields) {
      t.regex(comment, /^\/\*\*.{10,}\*\/$/s, name);
      t.regex(comment, /\bdefault\b|\d/i, `${name}: what is its default?`);
    }
  });
}

/** The fields of all exported interfaces, nested ones too; a group of options may do without a default. */
function fieldsIn(path: string): { name: string; comment: string }[] {
  const source = readFileSync(root + path, 'utf8');
  const tree = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true);
  const found: { name: string; comment: string }[] = [];
  const visit = (node: ts.Node): void => {
    const isGroup = ts.isPropertySignature(node) && node.type !== undefined && ts.isTypeLiteralNode(node.type);
    if (ts.isPropertySignature(node) && !isGroup && !ts.isTypeReferenceNode(node.type!)) {
      const ranges = ts.getLeadingCommentRanges(source, node.getFullStart()) ?? [];
      found.push({ name: node.name.getText(tree), comment: ranges.map(({ pos, end }) => source.slice(pos, end)).join('\n') });
    }
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(tree, (node) => {
    if (ts.isInterfaceDeclaration(node) && node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) visit(node);
  });
  return found;
}
