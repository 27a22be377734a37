/**
 * Recordings, commands and watchers of one end of a line of three relays, used at the other end, as processes: the relay between is the
 * only way. Each of the three is stopped and killed, and starts again.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { RemoteFault } from '../../src/client/client.ts';
import type { Config } from '../../src/config/config.ts';
import { ERRORS } from '../../src/core/core.ts';
import type { RelayError } from '../../src/core/core.ts';
import type { Sendable } from '../../src/values/values.ts';
import { HOWS, reached, startRow } from '../support/line.ts';
import type { How, Place, Struct } from '../support/line.ts';
import { temporaryDir } from '../support/relays.ts';

const LAB = `import { EventEmitter, on } from 'node:events';
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Datasource, Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Lab extends Plugin {
  events = new EventEmitter();
  /** Counts. Frames are kept for longer than a restart takes. */
  @Datasource({ maxFrames: 10_000 })
  async *record(signal) {
    for (let count = 0; ; count++) {
      yield { type: 'text/plain', payload: String(count) };
      await sleep(10, undefined, { signal });
    }
  }
  /** Answers 'begun', and its payload after the next go(). */
  @Controller()
  async *command({ payload }, signal) {
    appendFileSync('runs', payload + '\\n');
    const goes = on(this.events, 'go', { signal });
    yield { type: 'text/plain', payload: 'begun' };
    await goes.next();
    yield { type: 'text/plain', payload };
  }
  /** Lets commands go on. */
  @Exposed()
  go() {
    return this.events.emit('go');
  }
}
`;

const FARM = `import { EventEmitter, on, once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { Exposed, Plugin, Reactor, Satellite, Watcher } from 'co2-relay';
@Satellite()
export class Farm extends Plugin {
  events = new EventEmitter();
  kept = [];
  /** Reports the nodes in a file, at its start and after each look(). */
  @Watcher()
  nodes() {
    const { events } = this;
    const nodes = () => {
      const names = existsSync('nodes') ? readFileSync('nodes', 'utf8').split(' ') : [];
      return names.map((name) => ({ name, status: 'up', host: '10.0.0.1', port: 80 }));
    };
    return {
      async *watch(signal) {
        const looks = on(events, 'look', { signal });
        yield nodes();
        for await (const _ of looks) yield nodes();
      },
    };
  }
  /** Makes the watcher read its file. */
  @Exposed()
  look() {
    return this.events.emit('look');
  }
  /** Keeps all changes. */
  @Reactor()
  keep() {
    return {
      react: (change) => {
        this.kept.push(...Object.values(change).map(({ name, status }) => name + ' ' + status));
        this.events.emit('kept');
      },
    };
  }
  /** All changes, once there are this many. */
  @Exposed()
  async changes(count) {
    while (this.kept.length < count) await once(this.events, 'kept');
    return this.kept;
  }
}
`;

/** Starts the row with these files, whose paths begin with a node. */
async function rowOf(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  configOf: (nick: string) => Config = () => ({}),
): ReturnType<typeof startRow> {
  const directory = temporaryDir(t);
  for (const [path, source] of Object.entries(files)) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, source);
  }
  return startRow(t, directory, configOf);
}

const textsOf = ({ frames }: Struct): readonly string[] =>
  (frames as readonly Struct[]).map(({ payload }) => (payload as Buffer).toString());

// With these the server or the node was not there, and docs/faults.md says to call again.
const CALL_AGAIN: readonly unknown[] = ['TRANSPORT', ERRORS.TRANSPORT.fault, ERRORS.NOT_FOUND.fault, ERRORS.UNAVAILABLE.fault];

/** A client of one end that asks the other end, and asks again when it could not be reached. */
class Client {
  #restarted = Promise.resolve();

  constructor(
    private readonly a: Place,
    private readonly node: string,
  ) {}

  /** Asks until there is an answer. The last parameter has the options. */
  async ask(method: string, ...params: readonly [...Sendable[], Readonly<Record<string, Sendable>>]): Promise<Struct> {
    const options = { ...(params.at(-1) as Struct), node: this.node, waitMs: 20_000 };
    for (;;)
      try {
        return await this.a.call(method, ...params.slice(0, -1), options);
      } catch (error) {
        if (!CALL_AGAIN.includes((error as RelayError | RemoteFault).code)) throw error;
        await this.#restarted;
        await reached(this.a, this.node);
      }
  }

  /**
   * Ends a relay, once what was asked has arrived at the other end, and starts it again. Resolves to what `meanwhile` has returned while it
   * was down.
   */
  async restart<T>(place: Place, how: How, meanwhile: () => Promise<T>): Promise<T> {
    const restarted = (async () => {
      // Calls do not overtake each other.
      await this.a.call('relay.ping', this.node);
      await place.end(how);
      const result = await meanwhile();
      await place.start();
      return result;
    })();
    this.#restarted = restarted.then(() => undefined);
    return restarted;
  }
}

/** Follows the recording of the other end. */
class Subscriber extends Client {
  /** The numbers in the frames, for each start of the recording. */
  readonly seen: number[][] = [[]];
  missed = 0;
  #from = 'first';

  /** Reads until there are this many frames. */
  async until(count: () => number): Promise<void> {
    while (this.#count < count()) {
      const page = await this.ask('recording.subscribe', { name: 'lab.lab', from: this.#from });
      if (page.reset === true) this.seen.push([]);
      this.seen.at(-1)?.push(...textsOf(page).map(Number));
      this.missed += page.missed as number;
      this.#from = page.next as string;
    }
  }

  get #count(): number {
    return this.seen.flat().length;
  }

  /** Restarts a relay while it reads, and reads on. */
  async over(place: Place, how: How): Promise<void> {
    let wanted = Infinity;
    const reading = this.until(() => wanted);
    await this.restart(place, how, () => Promise.resolve());
    wanted = this.#count + 10;
    await reading;
  }
}

/** Commands the other end. */
class Commander extends Client {
  readonly sent: string[] = [];

  /** Resolves to the first frames. */
  send(payload: string): Promise<Struct> {
    this.sent.push(payload);
    return this.ask('recording.command', 'lab.lab', { type: 'text/plain', payload }, {});
  }

  /** Resolves to the frames after those of the last answer. */
  rest({ command, next }: Struct): Promise<Struct> {
    return this.ask('recording.frames', { command: command!, next: next! });
  }
}

test.serial('a subscription to a recording two hops away survives restarts of each relay', async (t) => {
  const [a, b, c] = await rowOf(t, { 'c/plugins/lab/lab.ts': LAB });
  t.like(await a.call('recording.start', { name: 'lab.lab', node: 'c' }), { state: 'recording' });
  const subscriber = new Subscriber(a, 'c');
  await subscriber.until(() => 5);
  for (const how of HOWS) {
    for (const place of [a, b]) await subscriber.over(place, how);
    const begins = subscriber.seen.length;
    await subscriber.over(c, how);
    t.is(subscriber.seen.length, begins + 1, `the subscriber learns that the recording began again after ${how}`);
  }
  t.is(subscriber.seen.length, 1 + HOWS.length, 'it went on over the restarts of the others');
  for (const numbers of subscriber.seen) t.deepEqual(numbers, [...numbers.keys()], 'no frame is missing or repeated');
  t.is(subscriber.missed, 0);
});

test.serial('a command two hops away runs once, and is answered over restarts of all relays but the one that runs it', async (t) => {
  const [a, b, c] = await rowOf(t, { 'c/plugins/lab/lab.ts': LAB });
  const commander = new Commander(a, 'c');
  for (const how of HOWS)
    for (const [name, place] of Object.entries({ a, b, c })) {
      const [before, meanwhile] = [`before ${how} of ${name}`, `during ${how} of ${name}`];
      const early = await commander.send(before);
      t.deepEqual(textsOf(early), ['begun']);
      const ended = commander.rest(early).then(
        (page) => textsOf(page).join() || (page.state as string),
        (error: unknown) => (error as Error).message,
      );
      const { late } = await commander.restart(place, how, async () => {
        if (place !== c) await c.call('lab.lab.go');
        return { late: commander.send(meanwhile) };
      });
      const [end, answer] = await Promise.all([ended, late]);
      if (place === c) t.regex(end, /^canceled$|: there is no command .*, or the relay was restarted$/);
      else t.is(end, before);
      t.deepEqual(textsOf(answer), ['begun']);
      await c.call('lab.lab.go');
      t.deepEqual(textsOf(await commander.rest(answer)), [meanwhile]);
    }
  const runs = readFileSync(join(c.cwd, 'runs'), 'utf8').trim().split('\n');
  t.deepEqual(runs, commander.sent);
});

test.serial('a service with a watcher two hops away survives restarts of each relay', async (t) => {
  const web = { watchers: { there: { type: 'lab.farm', node: 'c' } }, reactors: { keep: { type: 'lab.farm' } } };
  const [a, b, c] = await rowOf(t, { 'a/plugins/lab/farm.ts': FARM, 'c/plugins/lab/farm.ts': FARM }, (nick) =>
    nick === 'a' ? { services: { web } } : { sharedWatchers: ['lab.farm'] },
  );
  const nodes: string[] = [];
  const add = async (): Promise<void> => {
    nodes.push(`n${nodes.length}`);
    writeFileSync(join(c.cwd, 'nodes'), nodes.join(' '));
    if (c.process) await c.call('lab.farm.look');
  };
  const arrived = async (when: string): Promise<void> => {
    const changes: unknown = await a.call('lab.farm.changes', nodes.length);
    t.deepEqual(
      changes,
      nodes.map((name) => `${name} up`),
      when,
    );
  };
  await add();
  await arrived('at the start');
  for (const how of HOWS)
    for (const [name, place] of Object.entries({ b, c, a })) {
      await place.end(how);
      await add();
      await place.start();
      await arrived(`a node that came during ${how} of ${name}`);
      await add();
      await arrived(`a node that came after ${how} of ${name}`);
    }
});
