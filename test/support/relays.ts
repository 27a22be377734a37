/** Starts relays in this process for a test, on free ports and with state directories of their own; stops them when the test ends. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { createRelay } from '../../src/create-relay.ts';
import type { Config } from '../../src/config/config.ts';
import type { RelayEnvironment, RunningRelay } from '../../src/create-relay.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import type { RelayEvent } from '../../src/relay/relay.ts';
import type { Received } from '../fixtures/recorder/test/recorder.ts';
import { EventRecord } from './event-record.ts';
import { Gate } from './gate.ts';
import { LogRecord } from './log-record.ts';

/** A plugins directory with one satellite, `test.recorder`. */
export const RECORDER_DIR = fileURLToPath(new URL('../fixtures/recorder/', import.meta.url));

export interface TestRelay extends Omit<RunningRelay, 'call'> {
  /** What the recorder received. */
  readonly received: Gate<Received>;
  readonly log: LogRecord;
  /** Its events but `message.routed`, which holds the message. Transient ones are recorded once the relay has started. */
  readonly seen: EventRecord<RelayEvent>;
  /** Calls a method over HTTP, as a client on this machine. */
  call(method: string, ...params: Sendable[]): Promise<Value>;
  /** Calls a method without a connection, any number of them at a time ({@link RunningRelay.call}). */
  callDirectly(method: string, ...params: Sendable[]): Promise<Value>;
  /** Makes the recorder send a dict; returns the message's id. */
  emit(dict: Sendable): Promise<string>;
}

/** Starts a relay with the recorder, or with the configuration in `overrides`. */
export async function startRelay(t: ExecutionContext, overrides: Config = {}, surroundings: RelayEnvironment = {}): Promise<TestRelay> {
  const received = new Gate<Received>();
  const log = new LogRecord();
  const config: Config = {
    port: 0,
    dataDir: join(temporaryDir(t), 'state'),
    pluginsDir: RECORDER_DIR,
    drainMs: 200,
    ...overrides,
    plugins: { ...(overrides.pluginsDir === undefined ? { 'test.recorder': { gate: received } } : {}), ...overrides.plugins },
  };
  const relay = await createRelay(config, { ...surroundings, logs: log.source });
  t.teardown(() => relay.stop());
  const client = new XmlRpcClient(new URL(relay.url));
  t.teardown(() => client.close());
  return {
    ...relay,
    received,
    log,
    seen: new EventRecord(relay.events, ['message.routed']),
    call: (method, ...params) => client.call(method, params),
    callDirectly: (method, ...params) => relay.call(method, params),
    emit: async (dict) => (await client.call('test.recorder.emit', [dict])) as string,
  };
}

/** Writes `files` (path below the directory -> source) to a fresh plugins directory outside of the project. */
export function pluginsDir(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const directory = temporaryDir(t);
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), source);
  }
  return directory;
}

/** Creates a directory that is removed when the test ends. */
export function temporaryDir(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'co2-test-'));
  t.teardown(() => {
    // A test that fails early, or waits for the log only, may leave writers behind for a moment.
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  });
  return directory;
}

// The system assigns no ports below 32768 on its own, and each test process has a range of its own, so no other process takes a port before
// the test binds it.
// More than the tests of one file need at the same time: a port that was given is free until its relay listens.
const PORTS = 60;
const FIRST_PORT = 20_000 + (process.pid % 200) * PORTS;
let given = 0;

/** Finds `count` unused ports of `host`. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FIRST_PORT + (given++ % PORTS);
    if (await isFree(port, host)) ports.push(port);
  }
  return ports;
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, host, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
