/**
 * The bundled plugin pd.bridge in a real relay: both directions over TCP and UDP, its limits, hostile input, and that it is inactive by
 * default.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'ava';
import { freePorts } from '../support/relays.ts';
import { atomsOf, datagrams, netreceive, netsend, startBridge } from './pd-kit.ts';

const TCP = { listen: [{ port: 0 }] };
const UDP = { listen: [{ port: 0, protocol: 'udp' }] };

test('without a configuration it opens no socket, and says so once', async (t) => {
  const { relay, status } = await startBridge(t);
  t.deepEqual(relay.log.matching(/^not in use: /).length, 1);
  t.deepEqual(await status(), { listening: [], send_to: [], connections: 0, received: 0, refused: 0, sent: 0, dropped: 0 });
  t.is(await relay.call('pd.bridge.send_message', ['freq', 440]), 0);
});

test('TCP: messages of netsend become dicts, in order; floats are numbers, symbols are strings', async (t) => {
  const { ports, hear, relay, status } = await startBridge(t, TCP);
  const heard = await hear();
  const { socket } = await netsend(t, ports[0]!);
  socket.write('freq 440;\nvol 0.5 -3 1e10;\none\\ atom \\440;');
  socket.write('a; b, split in t');
  socket.write('wo;\n');
  t.deepEqual(await atomsOf(heard, 6), [['freq', 440], ['vol', 0.5, -3, 1e10], ['one atom', '440'], ['a'], ['b'], ['split', 'in', 'two']]);
  t.like(heard.all[0], { host_id: relay.hostId });
  t.like(await status(), { received: 6, refused: 0, connections: 1, listening: [{ host: '127.0.0.1', port: ports[0], protocol: 'tcp' }] });
});

test('TCP: a dict of another sender is sent to all connected patches, and that of a patch to none', async (t) => {
  const { relay, ports, hear, until } = await startBridge(t, TCP);
  const heard = await hear();
  const one = await netsend(t, ports[0]!);
  const two = await netsend(t, ports[0]!);
  await until(({ connections }) => connections === 2);
  one.socket.write('mine 1;');
  await heard.first(1);
  const others: unknown[] = [
    'ping',
    [1],
    { pd: 'text' },
    { pd: 440 },
    { chat: { nick: 'ann', text: 'hi' } },
    { pd: ['440', 'a b;', 0.25, '$1'] },
  ];
  for (const data of others) await relay.call('notify', { data } as never);
  for (const { lines } of [one, two]) t.deepEqual(await lines.first(1), ['\\440 a\\ b\\; 0.25 \\$1;']);
  await until(({ sent }) => sent === 2);
  t.deepEqual([one.lines.all.length, two.lines.all.length], [1, 1]);
});

test('a target that is started later is connected, gets dicts, can answer, and is connected again after a restart', async (t) => {
  const [port = 0] = await freePorts(1);
  const { relay, hear, until, status } = await startBridge(t, { sendTo: [{ port }], retryMs: 10 });
  const heard = await hear();
  await relay.log.line(/^Pure Data is not at 127\.0\.0\.1:\d+ \(tcp\) yet/);
  await relay.call('notify', { data: { pd: ['lost'] } });
  await until(({ dropped }) => dropped === 1);
  const first = await netreceive(t, port);
  const [patch] = await first.patches.first(1);
  await until(({ send_to: [target] }) => target!.connected);
  await relay.call('notify', { data: { pd: ['freq', 440] } });
  t.deepEqual(await patch!.lines.first(1), ['freq 440;']);
  patch!.socket.write('back 1;');
  t.deepEqual(await atomsOf(heard, 3), [['lost'], ['freq', 440], ['back', 1]]);
  first.close();
  await until(({ send_to: [target] }) => !target!.connected);
  const second = await netreceive(t, port);
  const [again] = await second.patches.first(1);
  await until(({ send_to: [target] }) => target!.connected);
  t.is(await relay.call('pd.bridge.send_message', ['again']), 1);
  t.deepEqual(await again!.lines.first(1), ['again;']);
  t.like(await status(), { sent: 2, dropped: 1, received: 1 });
});

test('UDP in both directions: a datagram may contain several messages, but no part of one', async (t) => {
  const patch = await datagrams(t);
  const { relay, ports, hear, until } = await startBridge(t, { ...UDP, sendTo: [{ port: patch.port, protocol: 'udp' }] });
  const heard = await hear();
  patch.send('freq 440; vol 1;\n', ports[0]!);
  patch.send('half of', ports[0]!);
  patch.send(' one; whole 2;', ports[0]!);
  t.deepEqual(await atomsOf(heard, 4), [['freq', 440], ['vol', 1], ['one'], ['whole', 2]]);
  await until(({ refused }) => refused === 1);
  await relay.call('notify', { data: { pd: ['on', 1] } });
  t.deepEqual(await patch.lines.first(1), ['on 1;\n']);
});

test('send_message returns the number of recipients and rejects invalid messages', async (t) => {
  const { relay, ports, until } = await startBridge(t, { ...TCP, maxMessageBytes: 64 });
  const patch = await netsend(t, ports[0]!);
  await until(({ connections }) => connections === 1);
  t.is(await relay.call('pd.bridge.send_message', ['freq', 440]), 1);
  t.deepEqual(await patch.lines.first(1), ['freq 440;']);
  const refused = async (list: unknown): Promise<unknown> => await t.throwsAsync(relay.call('pd.bridge.send_message', list as never));
  t.like(await refused([]), { code: 1, message: 'an empty list is not a message' });
  t.like(await refused(['a', [1]]), { code: 1, message: 'atom 2 is neither a number nor a text' });
  t.like(await refused(['x'.repeat(65)]), { code: 1, message: 'the message is longer than 64 bytes (maxMessageBytes)' });
  t.like(await refused('freq'), { code: -32602 });
  await relay.call('notify', { data: { pd: [true] } });
  await until((status) => status.refused === 1);
});

test('messages that are too long, not UTF-8, not valid in XML or unfinished are counted and skipped; the connection stays open', async (t) => {
  const { relay, ports, hear, until } = await startBridge(t, { ...TCP, maxMessageBytes: 64 });
  const heard = await hear();
  const { socket } = await netsend(t, ports[0]!);
  for (const bytes of [Buffer.alloc(1_000_000, 'x'), ';a 1;', Buffer.of(0xff, 0x3b), Buffer.of(0x07, 0x3b), 'b 2;', 'unfinished'])
    socket.write(bytes);
  socket.end();
  t.deepEqual(await atomsOf(heard, 2), [
    ['a', 1],
    ['b', 2],
  ]);
  await until(({ refused, connections }) => refused === 4 && connections === 0);
  t.deepEqual(
    relay.log.lines.all.filter(({ level, category }) => level === 'warn' && category === 'plugin.pd.bridge').map(({ text }) => text),
    ['refused: a message of more than 64 bytes (more are counted in pd.bridge.status, and logged at debug)'],
    'a flood of them does not fill the log',
  );
});

test('connections beyond the limit are closed, the others stay open', async (t) => {
  const { ports, hear, until } = await startBridge(t, { ...TCP, maxConnections: 2 });
  const heard = await hear();
  const patches = [await netsend(t, ports[0]!), await netsend(t, ports[0]!)];
  await until(({ connections }) => connections === 2);
  const third = connect(ports[0]!, '127.0.0.1');
  third.on('error', () => undefined);
  await new Promise((resolve) => third.once('close', resolve));
  await until(({ refused, connections }) => refused === 1 && connections === 2);
  patches[1]!.socket.write('still here;');
  t.deepEqual(await atomsOf(heard, 1), [['still', 'here']]);
  patches[0]!.socket.destroy();
  await until(({ connections }) => connections === 1);
  await netsend(t, ports[0]!);
  await until(({ connections }) => connections === 2);
});

test('a patch that does not read loses messages, the others get all of them', async (t) => {
  const { relay, ports, until, status } = await startBridge(t, { ...TCP, maxPendingBytes: 8192 });
  const slow = await netsend(t, ports[0]!);
  slow.socket.pause();
  const fast = await netsend(t, ports[0]!);
  await until(({ connections }) => connections === 2);
  const calls = Array.from({ length: 100 }, () => ({ methodName: 'pd.bridge.send_message', params: [['x'.repeat(4000)]] }));
  let rounds = 0;
  while ((await status()).dropped === 0) {
    await relay.call('system.multicall', calls);
    rounds++;
    await fast.lines.first(rounds * calls.length);
  }
  t.is(relay.log.matching(/^Pure Data at 127\.0\.0\.1:\d+ does not read/).length, 1);
  const { sent, dropped } = await status();
  t.is(sent + dropped, 2 * fast.lines.all.length);
  slow.socket.resume();
  await slow.lines.first(sent - fast.lines.all.length);
});

test('a web page cannot send messages through a browser on this machine', async (t) => {
  const { ports, hear, until } = await startBridge(t, TCP);
  const heard = await hear();
  for (const method of ['POST', 'GET', 'OPTIONS']) {
    const { socket, closed } = await netsend(t, ports[0]!);
    socket.write(`${method} /;freq 1; HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n;freq 2;`);
    await closed;
  }
  await until(({ refused }) => refused === 3);
  const { socket } = await netsend(t, ports[0]!);
  socket.write('POST 1; GET 2; POST /x;');
  t.deepEqual(
    await atomsOf(heard, 3),
    [
      ['POST', 1],
      ['GET', 2],
      ['POST', '/x'],
    ],
    'a patch may use these words',
  );
});

test('a flood is processed in turns: other requests are answered meanwhile, and nothing is lost', async (t) => {
  const { relay, ports, until } = await startBridge(t, TCP);
  const { socket } = await netsend(t, ports[0]!);
  socket.write('a;'.repeat(5000));
  const seen = [];
  for (let received = 0; received < 5000; { received } = await until(() => true)) seen.push(received);
  t.true(seen.length > 2, `the status was answered ${seen.length} times before the end`);
  t.is(relay.log.matching(/^refused/).length, 0);
});

test('a flood of datagrams is dropped and counted, and later ones are accepted', async (t) => {
  const patch = await datagrams(t);
  const { relay, ports, status, until } = await startBridge(t, UDP);
  while ((await status()).refused === 0) for (let n = 0; n < 200; n++) patch.send('a;'.repeat(60), ports[0]!);
  t.regex(relay.log.matching(/^refused/)[0]!, /^refused: a datagram of a flood/);
  let last = -1;
  await until(({ received }) => received === last || ((last = received), false));
  while ((await status()).received === last) patch.send('end;', ports[0]!);
  t.pass();
});

test('IPv6 is spoken, too', async (t) => {
  const host = '::1';
  const { ports, hear, status } = await startBridge(t, {
    listen: [
      { host, port: 0 },
      { host, port: 0, protocol: 'udp' },
    ],
  });
  const heard = await hear();
  const { socket } = await netsend(t, ports[0]!, host);
  socket.write('tcp 6;');
  t.deepEqual(await atomsOf(heard, 1), [['tcp', 6]]);
  const sender = createSocket('udp6');
  t.teardown(() => {
    sender.close();
  });
  sender.send('udp 6;', ports[1], host);
  t.deepEqual((await atomsOf(heard, 2))[1], ['udp', 6]);
  t.is((await status()).listening[1]!.host, host);
});

test('a port in use and an invalid configuration stop the start with the reason', async (t) => {
  const taken = await netreceive(t);
  const twice = { listen: [{ port: 0 }, { port: taken.port }] };
  const udp = await datagrams(t);
  for (const [config, message] of [
    [
      twice,
      new RegExp(
        `plugin pd\\.bridge\\.Bridge: it refuses to start: cannot listen on 127\\.0\\.0\\.1:${taken.port} \\(tcp\\): .*EADDRINUSE`,
      ),
    ],
    [{ listen: [{ port: udp.port, protocol: 'udp' }] }, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${udp.port} \\(udp\\): .*EADDRINUSE`)],
    [{ listen: [{ port: 3000 }], sendTo: [{ port: 3000 }] }, /key "sendTo": it must not name what the bridge itself listens on/],
    [
      { listen: [{ host: '0.0.0.0', port: 3000, protocol: 'udp' }], sendTo: [{ host: 'localhost', port: 3000, protocol: 'udp' }] },
      /key "sendTo": it must not name what the bridge itself listens on/,
    ],
    [{ listen: [{ prot: 3000 }] }, /key "listen\.0\.port"/],
    [{ listen: [{ port: 3000, protocol: 'osc' }] }, /key "listen\.0\.protocol"/],
    [{ sendTo: [{ port: 0 }] }, /key "sendTo\.0\.port"/],
  ] as const) {
    await t.throwsAsync(startBridge(t, config), { code: 'PLUGIN_REFUSED', message });
  }
});

test('a stop closes everything, even while something hangs', async (t) => {
  const { relay, ports, until } = await startBridge(t, {
    listen: [...TCP.listen, ...UDP.listen],
    sendTo: [{ port: 1 }, { port: 1, protocol: 'udp' }],
  });
  const patch = await netsend(t, ports[0]!);
  patch.socket.write('half of a mess');
  await until(({ connections }) => connections === 1);
  await relay.stop();
  await patch.closed;
  const again = connect(ports[0]!, '127.0.0.1');
  const [error] = (await once(again, 'error')) as [NodeJS.ErrnoException];
  t.is(error.code, 'ECONNREFUSED');
});
