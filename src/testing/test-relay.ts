/** The test relay: the real relay, plugin host and links, with memory in place of network and disk. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { startRelay } from '../app.ts';
import type { AppStatus, Fakes, StartedRelay } from '../app.ts';
import type { Config, Completed } from '../config/config.ts';
import { completeOptions } from '../config/config.ts';
import { permissionOf } from '../access/access.ts';
import { ACCESS_CLASSES, RelayError } from '../core/core.ts';
import { isDict, shareDict } from '../values/values.ts';
import { parseHostId } from '../message/message.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { callerOf } from '../rpc/rpc.ts';
import type { Router } from '../relay/relay.ts';
import { MemoryDisk } from '../store/store.ts';
import type { Principal } from '../access/access.ts';
import { RemoteFault } from '../client/internal.ts';
import { parseCall, serialiseCall } from '../xmlrpc/xmlrpc.ts';
import { recordingLogs } from './logs.ts';
import type { LogLine } from './logs.ts';
import { MemoryServer } from './memory-server.ts';
import { plain } from './plain.ts';
import { makeTestDirectory } from './plugin-files.ts';
import type { TestDirectory } from './plugin-files.ts';
import { recheck, settled, until, whenLate } from './quiet.ts';
import { TestClock } from './test-clock.ts';
import type { TestCaller, TestCommand, TestFrame, TestRelay, TestRelayOptions, TestSubmission, TestWork } from './types.ts';

const PATIENCE_MS = 2_000;
// The longest wait of work.status, on a clock that stands still.
const MAX_WAIT_MS = 60_000;

/** Starts a relay in memory. Rejects with the error of the start, or if a plugin is not loaded; then everything is closed again. */
export async function createTestRelay(options: TestRelayOptions = {}): Promise<TestRelay> {
  if (options.plugins !== undefined && options.pluginsDir !== undefined)
    throw new TypeError('createTestRelay: give plugins or pluginsDir, not both');
  const directory = await makeTestDirectory(options.plugins ?? []);
  const relay = new MemoryRelay(options, directory);
  try {
    await relay.start(completed(options, directory));
    for (const peer of options.peers ?? []) joinTestRelays(relay, peer);
    return relay;
  } catch (error) {
    await relay.stop();
    throw error;
  }
}

/** Links test relays to each other, each with all others. */
export function joinTestRelays(...relays: readonly TestRelay[]): void {
  const joined = [...new Set(relays)].map((relay) => MemoryRelay.from(relay));
  for (const one of joined) for (const other of joined) if (one !== other) one.addPeer(other);
}

function completed({ pluginsDir, config = {} }: TestRelayOptions, directory: TestDirectory): Completed {
  const plugins = pluginsDir instanceof URL ? fileURLToPath(pluginsDir) : (pluginsDir ?? directory.pluginsDir);
  // Files do not change during a test, and watching takes longer than the rest of the start.
  const own: Config = { pluginsDir: plugins, projectDir: directory.path, pluginPackages: false, watch: false };
  const sources = [own, config].map((values) => ({
    values,
    baseDir: process.cwd(),
    nameOf: (key: string) => `createTestRelay: config.${key}`,
  }));
  return completeOptions(sources, process.cwd());
}

class MemoryRelay implements TestRelay {
  readonly clock: TestClock;
  readonly sent: Dict[] = [];
  readonly logs: LogLine[] = [];
  queued = 0;
  readonly #patienceMs: number;
  readonly #directory: TestDirectory;
  readonly #server = new MemoryServer();
  readonly #disk = new MemoryDisk();
  readonly #name = randomBytes(8).toString('hex');
  readonly #adminToken = randomBytes(32).toString('base64url');
  readonly #nodeSeed = randomBytes(32).toString('base64url');
  #options: Completed | undefined;
  /** Set while a relay ends whose power has failed: what it logs is of no interest. */
  #isCrashing = false;
  readonly #peers = new Set<MemoryRelay>();
  /** How many dicts `nextSent` has returned. */
  #returned = 0;
  #router: Pick<Router, 'accept'> | undefined;
  #started: StartedRelay | undefined;
  #stopped: Promise<void> | undefined;

  constructor({ clock, peers = [], patienceMs = PATIENCE_MS }: TestRelayOptions, directory: TestDirectory) {
    this.clock = clock ?? peers[0]?.clock ?? new TestClock();
    this.#patienceMs = patienceMs;
    this.#directory = directory;
  }

  static from(relay: TestRelay): MemoryRelay {
    if (#peers in relay) return relay;
    throw new TypeError('joinTestRelays: expected relays from createTestRelay');
  }

  get hostId(): string {
    return this.#everStarted().hostId;
  }

  get errors(): readonly string[] {
    return this.logs.filter(({ level }) => level === 'error').map(({ text }) => text);
  }

  async start(options: Completed): Promise<void> {
    this.#options = options;
    const logs = recordingLogs((line) => {
      if (!this.#isCrashing) this.logs.push(line);
      recheck();
    });
    const environment = { logs, clock: this.clock, random: () => 0.5 };
    this.#started = await this.#patiently(startRelay(options, environment, this.#fakes()));
    this.#requireAllLoaded();
  }

  addPeer(other: MemoryRelay): void {
    const { address, port } = other.#server.bound;
    this.#running().addPeer(`http://${address}:${port}`);
    this.#peers.add(other);
  }

  async restart({ crash = false }: { readonly crash?: boolean | undefined } = {}): Promise<void> {
    const before = this.#running();
    if (!this.#options) throw new Error('this test relay has not started');
    this.#isCrashing = crash;
    if (crash) this.#disk.crash();
    await this.#patiently(before.stop());
    this.#isCrashing = false;
    await this.start(this.#options);
    const peers = [...this.#peers];
    this.#peers.clear();
    for (const peer of peers) this.addPeer(peer);
    // What was stored is delivered from now on, and what was counted before has ended.
    const counts = this.status().plugins.satellites.map(
      ({ waiting, delivered, failed, dropped }) => waiting + delivered + failed + dropped,
    );
    this.queued = counts.reduce((sum, count) => sum + count, 0);
    await this.settled();
  }

  async deliver(dict: Sendable): Promise<string> {
    this.#running();
    const call = parseCall(serialiseCall('notify', [dict], { nil: true, i8: true }));
    const [received] = call.params;
    if (!isDict(received)) throw new TypeError('deliver: a dict is an object with a member data');
    const claimed = typeof received.host_id === 'string' ? parseHostId(received.host_id) : undefined;
    const caller = callerOf(principalOf('local', claimed?.address), (one) => call.sourceOf(one), call.exactOf);
    const id = await (this.#router?.accept(received, caller) ?? '');
    await this.settled();
    return id;
  }

  nextSent(): Promise<Dict> {
    // Counted at once, so that two calls that wait get different dicts.
    const take = (): Dict | undefined => (this.#returned < this.sent.length ? this.sent[this.#returned++] : undefined);
    return until(take, this.#patienceMs, () => {
      const before = this.#returned === 0 ? 'none' : `${this.#returned}, which nextSent() has returned`;
      return `no satellite sent a dict within ${this.#patienceMs} ms; before that: ${before}`;
    });
  }

  async call(
    method: string,
    params: readonly Sendable[] = [],
    { as = 'local' }: { readonly as?: TestCaller | undefined } = {},
  ): Promise<Value> {
    const body = serialiseCall(method, params, { nil: true, i8: true });
    const { response, error } = await this.#server.answer(body, principalOf(as));
    if (response.kind === 'value') return plain(response.value);
    throw Object.assign(new RemoteFault(response.code, response.text), { cause: error });
  }

  async work(type: string, { payload = '', params = {}, as }: TestSubmission = {}): Promise<TestWork> {
    const { unit } = (await this.call('work.submit', [{ type, payload: sendable(payload), params }], { as })) as { unit: string };
    const { state, reason } = await this.#inPatience(
      this.call('work.status', [{ unit, waitMs: MAX_WAIT_MS }], { as }) as Promise<Omit<TestWork, 'results'>>,
      () => `the unit ${unit} of ${type} did not end within ${this.#patienceMs} ms`,
    );
    const results: Value[] = [];
    for (let offset = 0; ;) {
      const page = (await this.call('work.results', [{ unit, offset }], { as })) as { items: readonly Value[]; next: number };
      if (page.items.length === 0) return { unit, state, reason, results };
      results.push(...page.items);
      offset = page.next;
    }
  }

  async record(name: string, count = 1): Promise<readonly TestFrame[]> {
    const frames: TestFrame[] = [];
    const late = (): string => `${name} recorded ${frames.length} of ${count} frames within ${this.#patienceMs} ms`;
    await this.call('recording.start', [name]);
    for (let from = 'first'; frames.length < count;) {
      const page = await this.#inPatience(
        this.call('recording.subscribe', [{ name, from, waitMs: MAX_WAIT_MS }]) as Promise<unknown> as Promise<FramePage>,
        late,
      );
      frames.push(...page.frames);
      from = page.next;
      if (page.state !== 'recording' && frames.length < count) throw new Error(`${name} is ${page.state}: ${page.reason}`);
    }
    await this.call('recording.stop', [name]);
    return frames.slice(0, count);
  }

  async command(
    name: string,
    { payload, ...frame }: { readonly type: string; readonly payload: string | Uint8Array; readonly source?: string },
    { as }: { readonly as?: TestCaller | undefined } = {},
  ): Promise<TestCommand> {
    const late = (): string => `the command of ${name} did not end within ${this.#patienceMs} ms`;
    const ask = (method: string, params: readonly Sendable[]): Promise<CommandPage> =>
      this.#inPatience(this.call(method, params, { as }) as Promise<unknown> as Promise<CommandPage>, late);
    let page = await ask('recording.command', [name, { ...frame, payload: sendable(payload) }, { waitMs: MAX_WAIT_MS }]);
    const frames = [...page.frames];
    while (!page.ended) {
      page = await ask('recording.frames', [{ command: page.command, next: page.next, waitMs: MAX_WAIT_MS }]);
      frames.push(...page.frames);
    }
    return { state: page.state, reason: page.reason, frames };
  }

  async #inPatience<T>(answer: Promise<T>, late: () => string): Promise<T> {
    let endWait = (): void => undefined;
    const ended = new Promise<never>((_resolve, reject) => {
      endWait = whenLate(this.#patienceMs, () => {
        reject(new RelayError('TIMEOUT', late()));
      });
    });
    try {
      return await Promise.race([answer, ended]);
    } finally {
      endWait();
    }
  }

  settled(): Promise<void> {
    return settled(() => this.#network(), this.#patienceMs);
  }

  status(): AppStatus {
    return this.#everStarted().status();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await this.#patiently(this.#started?.stop() ?? Promise.resolve());
    await this.#directory.remove();
  }

  #fakes(): Fakes {
    return {
      state: {
        ...{ path: this.#directory.path, hostIdRandom: this.#name, cacheDir: undefined },
        ...{ adminToken: this.#adminToken, nodeSeed: this.#nodeSeed },
      },
      disk: this.#disk,
      http: (parts) => {
        this.#router = parts.router;
        return this.#server.of(parts);
      },
      transport: (server) => this.#server.carrierTo(server),
      onMessage: ({ message, sender, recipients }) => {
        this.queued += recipients;
        if (sender !== undefined) this.sent.push(plain(shareDict(message.frozen())) as Dict);
        recheck();
      },
    };
  }

  /** Throws if a plugin is not loaded, which is a mistake in the test or in the plugin. */
  #requireAllLoaded(): void {
    const { problems, satellites } = this.status().plugins;
    if (problems.length > 0) {
      const texts = problems.map(
        ({ file, line, module, reason }) =>
          `${this.#directory.satellites.length > 0 ? (module ?? file) : [file, line].filter(Boolean).join(':')}: ${reason}`,
      );
      throw new RelayError('PLUGIN_REFUSED', `createTestRelay: ${texts.join('; ')}`);
    }
    const names = new Set(satellites.map(({ name }) => name));
    const missing = this.#directory.satellites.find(({ module, className }) => !names.has(`${module}.${className}`));
    if (missing) throw new TypeError(`createTestRelay: ${missing.className} is not decorated with @Satellite(), so it does not run`);
  }

  /**
   * Resolves as `work` does. Since the clock of the relay does not advance by itself, this lets its time limits expire if `work` hangs.
   */
  async #patiently<T>(work: Promise<T>): Promise<T> {
    const endWait = whenLate(this.#patienceMs, () => {
      void this.clock.runOut();
    });
    try {
      return await work;
    } finally {
      endWait();
    }
  }

  /** The running relays among this one and those that it is linked to, directly or over others. */
  #network(): readonly MemoryRelay[] {
    const found = new Set<MemoryRelay>([this]);
    // The loop also visits relays that are added to the set meanwhile.
    for (const relay of found) for (const peer of relay.#peers) found.add(peer);
    return [...found].filter((relay) => relay.#stopped === undefined);
  }

  #everStarted(): StartedRelay {
    if (this.#started) return this.#started;
    throw new RelayError('UNAVAILABLE', 'this test relay has not started');
  }

  #running(): StartedRelay {
    if (this.#stopped) throw new RelayError('UNAVAILABLE', 'this test relay has been stopped', { data: { reason: 'stopped' } });
    return this.#everStarted();
  }
}

/** The answer of recording.subscribe. */
interface FramePage {
  readonly frames: readonly TestFrame[];
  readonly next: string;
  readonly state: string;
  readonly reason: string;
}

/** The answer of recording.command and recording.frames. */
interface CommandPage extends TestCommand {
  readonly command: string;
  readonly next: number;
  readonly ended: boolean;
}

function sendable(payload: string | Uint8Array): string | Buffer {
  return typeof payload === 'string' ? payload : Buffer.from(payload);
}

function principalOf(caller: TestCaller, address = caller === 'anonymous' ? '192.0.2.1' : '127.0.0.1'): Principal {
  const role: Principal['role'] =
    caller === 'admin'
      ? { kind: 'token', name: 'admin', id: 'admin', may: permissionOf({ classes: ACCESS_CLASSES, methods: ['*'] }) }
      : { kind: caller };
  return { role, address, port: 0, isDirect: true, isPeer: false };
}
