/**
 * Kills (-9) of a relay at each of its writes that belong to one message: at its origin, and at the relay that receives it. A hook around
 * the writes of the store makes the moment exact. After the restart the message is where it belongs.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Dict } from '../../src/values/values.ts';
import { PROJECT_DIR, startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';
import { freePorts, temporaryDir } from '../support/relays.ts';
import { linesOf } from './oracle.ts';

interface Row {
  /** What the write says. `NAME` is the message. */
  readonly what: string;
  readonly pattern: string;
  readonly victim: 'origin' | 'receiver';
}

// A record of the mesh with the message; one of the durable satellites; a note that messages are done, which is short.
const MESSAGE = '^put \\u0002mesh-messages\\u0000.*NAME<';
const FOR_SATELLITES = '^put .*cameAt.*NAME<';
const NOTE = '^put \\u0002mesh-messages\\u0000.{6} .{1,30}$';
const ROWS: readonly Row[] = [
  { what: 'the message, for other nodes', pattern: MESSAGE, victim: 'origin' },
  { what: 'that the other node has it', pattern: NOTE, victim: 'origin' },
  { what: 'the message', pattern: MESSAGE, victim: 'receiver' },
  { what: 'the message, for its satellites', pattern: FOR_SATELLITES, victim: 'receiver' },
  { what: 'that its satellites have it', pattern: NOTE, victim: 'receiver' },
];

const HOOK = pathToFileURL(join(PROJECT_DIR, 'test/fixtures/kill-at-write.mjs')).href;

interface Place {
  readonly cwd: string;
  readonly port: number;
}

async function places(t: ExecutionContext): Promise<readonly [origin: Place, receiver: Place]> {
  const ports = await freePorts(2);
  const [origin, receiver] = ports.map((port, index): Place => {
    const cwd = temporaryDir(t);
    for (const file of ['durable', 'ordinary', 'sent']) writeFileSync(join(cwd, `${file}.jsonl`), '');
    const config = {
      ...{ nick: `n${index}`, peers: [`http://127.0.0.1:${ports[1 - index]!}`] },
      ...{ pluginsDir: join(PROJECT_DIR, 'test/fixtures/chaos'), plugins: { 'chaos.ledger': { dir: cwd } } },
    };
    writeFileSync(join(cwd, 'config.ts'), `export default ${JSON.stringify(config)};`);
    return { cwd, port };
  });
  return [origin!, receiver!];
}

/** Starts the relay, which is killed at this write if there is one. */
function start(
  t: ExecutionContext,
  { cwd, port }: Place,
  killAt?: { readonly when: string; readonly what: string },
): Promise<RelayProcess> {
  const env = { CHAOS_LIFE: '1', ...(killAt && { NODE_OPTIONS: `--import=${HOOK}`, KILL_AT: JSON.stringify(killAt) }) };
  return startCo2(t, { cwd, args: ['--port', String(port)], env });
}

/** Waits until the relay has its link. */
async function linked(relay: RelayProcess): Promise<void> {
  for (;;) {
    const nodes = (await relay.call('relay.get_nodes')) as readonly Dict[];
    if (nodes.some(({ state, links }) => state === 'reachable' && links === 1)) return;
    await sleep(20);
  }
}

/** What the durable satellite has received, once this is among it: names, and whether they were marked. */
async function received({ cwd }: Place, name: string): Promise<readonly (readonly [string, boolean])[]> {
  for (;;) {
    const lines = linesOf(join(cwd, 'durable.jsonl')) as readonly (readonly [string, string, boolean])[];
    // The process that writes it is killed: nothing but the file says what it received.
    if (lines.some(([one]) => one === name)) return lines.map(([one, , isMarked]) => [one, isMarked]);
    await sleep(10);
  }
}

for (const { what, pattern, victim } of ROWS) {
  for (const when of ['before', 'after'] as const) {
    test.serial(`kill -9 of the ${victim}, just ${when} it writes ${what}`, async (t) => {
      const all = await places(t);
      const [origin, receiver] = all;
      const [killed, other] = victim === 'origin' ? [origin, receiver] : [receiver, origin];
      const killAt = { when, what: pattern.replace('NAME', 'the-one') };
      const survivor = await start(t, other);
      const first = await start(t, killed, killAt);
      const sender = victim === 'origin' ? first : survivor;
      await Promise.all([first, survivor].map(linked));
      const isAcknowledged = await sender.call('notify', { data: 'the-one' }).then(
        () => true,
        () => false,
      );
      t.is((await first.exit).signal, 'SIGKILL');
      const second = await start(t, killed);
      await Promise.all([second, survivor].map(linked));
      await (victim === 'origin' ? second : survivor).call('notify', { data: 'the-next' });
      for (const place of all) {
        const lines = await received(place, 'the-next');
        const own = lines.filter(([name]) => name === 'the-one');
        // Before its own record was written, only the satellites of the origin have it: nobody was answered.
        const isExpected = place === origin || !(victim === 'origin' && pattern === MESSAGE && when === 'before');
        t.is(own.length > 0, isExpected, `${place === origin ? 'origin' : 'receiver'}: ${JSON.stringify(lines)}`);
        t.true(
          own.slice(1).every(([, isMarked]) => isMarked),
          'what comes twice says so',
        );
        if (isAcknowledged) t.true(own.length > 0);
      }
      t.is(isAcknowledged, victim === 'receiver' || pattern === NOTE);
    });
  }
}
