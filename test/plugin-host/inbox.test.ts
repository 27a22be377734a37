/** The inbox that a class asks for: messages merged by a key, and its own limits within those of the operator. */
import test from 'ava';
import { messageOf, satelliteSource, started } from './kit.ts';

/** Its `receive` ends when `open()` is called; it tells what it got. */
const slow = (inbox: string): string =>
  satelliteSource(
    'Slow',
    `  #open: (() => void) | undefined;
  async receive(dict: Dict) {
    const opened = new Promise<void>((resolve) => { this.#open = resolve; });
    await this.send({ data: dict.data });
    await opened;
  }
  @Exposed() open() { this.#open?.(); }`,
  ).replace('@Satellite()', `@Satellite({ inbox: ${inbox} })`);

const BY_ROOM = `{ overflow: 'merge', key: (dict) => (dict.data as { room?: string }).room }`;

test('of messages with one key the last is delivered, in the place of the first', async (t) => {
  const { host, sent, call, clock } = await started(t, { 'ham/slow.ts': slow(BY_ROOM) });
  host.deliver(messageOf({ room: 'x', value: 0 }));
  await sent.until(() => true);
  const values: readonly (readonly [string | undefined, number])[] = [
    ['hall', 1],
    ['attic', 2],
    [undefined, 3],
    ['hall', 4],
    ['hall', 5],
    [undefined, 6],
  ];
  for (const [room, value] of values) host.deliver(messageOf({ ...(room !== undefined && { room }), value }));
  clock.advance(20);
  t.like(host.status().satellites[0], { waiting: 4, merged: 2, dropped: 0, refused: 0, oldestMs: 20 });
  for (let count = 2; count <= 5; count++) {
    await call('ham.slow.open');
    await sent.until(() => true, count);
  }
  t.deepEqual(
    sent.all.map(({ data }) => (data as unknown as { value: number }).value),
    [0, 5, 2, 3, 6],
  );
  t.like(host.status().satellites[0], { delivered: 4, bytes: 0, oldestMs: 0 });
});

test('a key that fails or is not a string merges nothing, and is logged once', async (t) => {
  const { host, lines, clock } = await started(t, {
    'ham/slow.ts': slow(
      `{ overflow: 'merge', key: (dict) => { if (dict.data === 1) throw new Error('no room'); return dict.data as never; } }`,
    ),
  });
  for (const data of [1, 1, 1, 7, 7]) host.deliver(messageOf(data));
  t.like(host.status().satellites[0], { waiting: 5, merged: 0 });
  const told = lines.all.filter((line) => line.includes('inbox.key'));
  t.deepEqual(told, ['warn plugin.ham.slow: ham.slow.Slow: inbox.key failed: no room; the message is not merged']);
  clock.advance(1_000);
  host.deliver(messageOf(7));
  t.true(lines.all.at(-1)?.includes('returned something other than a string; the message is not merged (and 4 more'), lines.all.at(-1));
});

test('a class may ask for less than the operator allows, but not for more', async (t) => {
  const files = { 'ham/few.ts': slow('{ maxMessages: 2 }'), 'ham/many.ts': slow('{ maxMessages: 1000, maxBytes: 1e9 }') };
  const { host } = await started(t, files, { inbox: { maxMessages: 3, maxBytes: 10_000, overflow: 'drop-oldest' } });
  for (let n = 0; n < 5; n++) host.deliver(messageOf(n));
  t.deepEqual(
    host.status().satellites.map(({ waiting, dropped }) => [waiting, dropped]),
    [
      [2, 3],
      [3, 2],
    ],
  );
  await host.stop();
  host.deliver(messageOf(6));
  t.like(host.status().satellites[0], { refused: 1, waiting: 0 });
});

test('a class with an invalid inbox is not loaded, with the reason', async (t) => {
  const { problems } = await started(t, {
    'ham/a.ts': slow(`{ overflow: 'merge' } as never`),
    'ham/b.ts': slow(`{ overflow: 'merg' } as never`),
    'ham/c.ts': slow('{ maxMessages: 0 }'),
    'ham/d.ts': slow('{ maxBytes: 1.5 }'),
  });
  t.deepEqual(
    Object.values(problems()).map((reason) => reason.replace(/^.*@Satellite: /, '')),
    [
      "inbox.overflow 'merge' needs the function inbox.key",
      "inbox.overflow: found 'merg', expected 'drop-oldest' or 'merge'",
      'inbox.maxMessages: found 0, expected a whole number of at least 1',
      'inbox.maxBytes: found 1.5, expected a whole number of at least 1',
    ],
  );
});
