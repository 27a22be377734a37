/**
 * Whatever a server answers is an answer: a dict goes to it once, `later` means later, and any answer to a ping is a sign of life. Over
 * real sockets, byte by byte.
 */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { answer, rawServer } from '../support/raw-server.ts';
import type { RawServer } from '../support/raw-server.ts';
import { startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const RETRY = { minMs: 1, maxMs: 10 };
const OK = answer(serialiseResponse(true));

const methodOf = (request: string): string => /<methodName>(.*?)</.exec(request)?.[1] ?? '';
const dataOf = (request: string): string | undefined => /<name>data<\/name><value><int>(\d+)</.exec(request)?.[1];

interface Counters {
  readonly forwarded: number;
  readonly unreadable: number;
  readonly refused: number;
  readonly dropped: number;
  readonly waiting: number;
  readonly state: string;
}

interface Linked {
  readonly relay: TestRelay;
  readonly server: RawServer;
  /** The dicts that it got so far, in order. */
  readonly got: () => readonly (string | undefined)[];
  readonly counters: () => Counters;
}

/** A relay with a peer or a satellite that gives `first` to the first notify, and then true. */
async function linked(t: ExecutionContext, who: 'peer' | 'satellite', first: readonly Buffer[], config: Config = {}): Promise<Linked> {
  const answers = [...first];
  const server = await rawServer(t, (socket, request) => {
    const next = methodOf(request) === 'notify' ? (answers.shift() ?? OK) : OK;
    socket.write(next);
    // Bytes that break off: the connection ends with them.
    if (next.includes('X-Breaks-Off')) socket.end();
  });
  const relay = await startRelay(t, {
    ...{ retry: RETRY, peerTimeoutMs: 50_000, peerPingIntervalMs: 0, peers: who === 'peer' ? [server.url] : [] },
    ...config,
  });
  if (who === 'satellite') await relay.call('relay.register', { port: Number(new URL(server.url).port) });
  const got = (): readonly (string | undefined)[] => server.requests.filter((request) => methodOf(request) === 'notify').map(dataOf);
  const counters = (): Counters => {
    const { mesh, satellites } = relay.status();
    return (who === 'peer' ? mesh.peers[0] : satellites.satellites[0]?.link) as Counters;
  };
  return { relay, server, got, counters };
}

/** Sends two dicts, one after the other's outcome is known, and waits until both are settled. */
async function sendTwo({ relay, counters }: Linked): Promise<Counters> {
  for (const data of [1, 2]) {
    await relay.emit({ data });
    await settled(counters, data);
  }
  return counters();
}

async function settled(counters: () => Counters, count: number): Promise<void> {
  for (;;) {
    const { forwarded, refused, waiting } = counters();
    if (waiting === 0 && forwarded + refused === count) return;
    await new Promise(setImmediate);
  }
}

const fault = (members: string): Buffer =>
  answer(`<?xml version="1.0"?><methodResponse><fault><value><struct>${members}</struct></value></fault></methodResponse>`);
const CODE = '<member><name>faultCode</name><value><string>Client</string></value></member>';
const INT_CODE = '<member><name>faultCode</name><value><int>1</int></value></member>';
const TEXT = '<member><name>faultString</name><value><string>no such method here</string></value></member>';
const THIRD = '<member><name>detail</name><value><string>x</string></value></member>';

/**
 * Answers with 2xx that are not as expected. A client that reads more of them may take one as the fault that it means to be; a dict goes
 * once in any case.
 */
const ODD: Readonly<Record<string, Buffer>> = {
  'an empty body': answer(''),
  'no Content-Type': answer(serialiseResponse(true), { type: '' }),
  HTML: answer('<html><body>ok</body></html>', { type: 'text/html' }),
  'text that is not XML': answer('ok'),
  'XML of another kind': answer('<ok/>'),
  'a fault with a string as its code': fault(CODE + TEXT),
  'a fault with a third member': fault(INT_CODE + TEXT + THIRD),
  'an int beyond 32 bits': answer(serialiseResponse(1).toString().replace('<int>1<', '<int>4294967296<')),
  '204 without a body': Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'),
  '201': answer(serialiseResponse(true), { status: '201 Created' }),
  '202 without a type': answer('accepted', { status: '202 Accepted', type: '' }),
  'a coding that nobody asked for': answer(serialiseResponse(true), { headers: 'Content-Encoding: br\r\n' }),
  'more than anybody reads': answer(`<!--${'x'.repeat(2 * 1024 * 1024)}-->`),
};

for (const who of ['peer', 'satellite'] as const) {
  for (const [what, first] of Object.entries(ODD)) {
    test(`a dict counts as delivered once if a ${who} responds to notify with ${what}`, async (t) => {
      const link = await linked(t, who, [first]);
      const { forwarded, refused, unreadable, dropped } = await sendTwo(link);
      t.deepEqual(link.got(), ['1', '2']);
      t.is(forwarded + refused, 2);
      t.is(dropped, 0);
      // Noted as what it was: taken with an unreadable answer, read as true, or read as a fault.
      t.true(unreadable + refused <= 1);
    });
  }
}

test('an unreadable response is counted and reported', async (t) => {
  const link = await linked(t, 'satellite', [ODD['an empty body']!]);
  t.like(await sendTwo(link), { forwarded: 2, unreadable: 1, refused: 0 });
  const { unreadable } = await link.relay.seen.event('link.forwarded', { role: 'satellite', unreadable: /./ });
  t.is(link.relay.log.matching(/^forwarded .* to satellite .*; its answer could not be read, so it counts as accepted/).length, 1);
  t.is(link.relay.seen.matching('link.forwarded', { unreadable: unreadable! }).length, 1);
});

test('if a response is truncated after its headers, a satellite counts as having received the dict; a peer gets it again', async (t) => {
  const broken = Buffer.from(
    'HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nX-Breaks-Off: 1\r\nContent-Length: 500\r\n\r\n<?xml version="1.0"?>',
  );
  const satellite = await linked(t, 'satellite', [broken]);
  t.like(await sendTwo(satellite), { forwarded: 2, unreadable: 1 });
  t.deepEqual(satellite.got(), ['1', '2']);
  const peer = await linked(t, 'peer', [broken]);
  t.like(await sendTwo(peer), { forwarded: 2, unreadable: 0 });
  t.deepEqual(peer.got(), ['1', '1', '2']);
});

for (const status of [
  '302 Found',
  '400 Bad Request',
  '403 Forbidden',
  '404 Not Found',
  '405 Method Not Allowed',
  '500 Internal Server Error',
]) {
  test(`a dict counts as rejected once if a satellite responds to notify with HTTP ${status}`, async (t) => {
    const link = await linked(t, 'satellite', [answer('no', { status, type: 'text/plain' })]);
    t.like(await sendTwo(link), { forwarded: 1, refused: 1, dropped: 0 });
    t.deepEqual(link.got(), ['1', '2']);
  });
}

test('a dict is resent to a peer that responds with HTTP 403, because the credentials may be corrected', async (t) => {
  const link = await linked(
    t,
    'peer',
    Array.from({ length: 7 }, () => answer('no', { status: '403 Forbidden', type: 'text/plain' })),
  );
  t.like(await sendTwo(link), { forwarded: 2, refused: 0, dropped: 0 });
  t.deepEqual(link.got(), [...Array.from({ length: 8 }, () => '1'), '2']);
});

for (const who of ['peer', 'satellite'] as const) {
  for (const status of [429, 502, 503, 504]) {
    test(`a dict is retried in order for as long as a ${who} responds with HTTP ${status}`, async (t) => {
      const later = answer('busy', { status: `${status} Later`, type: 'text/plain' });
      const link = await linked(t, who, [later, later, later, later, later, later, later]);
      await link.relay.emit({ data: 1 });
      await link.relay.emit({ data: 2 });
      await settled(link.counters, 2);
      t.like(link.counters(), { forwarded: 2, refused: 0, dropped: 0 });
      t.deepEqual(link.got(), [...Array.from({ length: 8 }, () => '1'), '2']);
    });
  }
}

for (const form of ['seconds', 'a date']) {
  test(`a Retry-After header in ${form} is honored`, async (t) => {
    // A date has whole seconds, and counts from here; seconds count from the answer.
    const date = Math.floor((Date.now() + 2_000) / 1000) * 1000;
    const retryAfter = form === 'seconds' ? '1' : new Date(date).toUTCString();
    const later = answer('busy', { status: '503 Later', type: 'text/plain', headers: `Retry-After: ${retryAfter}\r\n` });
    const link = await linked(t, 'satellite', [later], { pingIntervalMs: 50 });
    const notBefore = form === 'seconds' ? Date.now() + 900 : date - 50;
    await link.relay.emit({ data: 1 });
    await settled(link.counters, 1);
    t.true(Date.now() >= notBefore, 'also though it answers pings meanwhile');
    t.deepEqual(link.got(), ['1', '1']);
  });
}

/** What a satellite may answer pings with and stay one. */
const ALIVE: Readonly<Record<string, Buffer>> = {
  ...Object.fromEntries(
    ['302 Found', '400 Bad Request', '401 Unauthorized', '404 Not Found', '405 Method Not Allowed', '413 Too Large', '429 Too Many'].map(
      (status) => [`HTTP ${status}`, answer('no', { status, type: 'text/plain' })],
    ),
  ),
  ...ODD,
  'a fault': answer(serialiseFault(1, 'no such method here')),
};

for (const [what, pong] of Object.entries(ALIVE)) {
  test(`a satellite that responds to pings with ${what} counts as alive`, async (t) => {
    const { relay, pings } = await pinged(t, pong);
    await pings(6);
    t.is(await relay.call('relay.get_num_satellites'), 1);
    const [{ ping_fails: fails, ping_count: count }] = (await relay.call('relay.get_satellites')) as [
      { ping_fails: number; ping_count: number },
    ];
    t.is(fails, 0);
    t.true(count >= 5);
  });
}

for (const status of ['500 Broken', '502 Bad Gateway', '503 Unavailable', '504 Timeout']) {
  test(`a satellite that responds to pings with HTTP ${status} is removed after the maximum number of failures`, async (t) => {
    const { relay } = await pinged(t, answer('no', { status, type: 'text/plain' }));
    const { reason } = await relay.events.next((event) => event.type === 'satellite.expired', { since: 0 });
    t.regex(reason, /^it failed 2 times in a row/);
    t.is(await relay.call('relay.get_num_satellites'), 0);
  });
}

async function pinged(t: ExecutionContext, pong: Buffer): Promise<{ relay: TestRelay; pings: (count: number) => Promise<void> }> {
  const server = await rawServer(t, (socket) => socket.write(pong));
  const relay = await startRelay(t, { pingIntervalMs: 10, maxPingFails: 2, peerTimeoutMs: 50_000 });
  await relay.call('relay.register', { port: Number(new URL(server.url).port) });
  const pings = async (count: number): Promise<void> => {
    while (server.requests.length < count) await new Promise(setImmediate);
  };
  return { relay, pings };
}
