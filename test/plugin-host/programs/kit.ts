/** Shared by the tests of programs: runs a fixture program as a plugin, with everything that a relay provides. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { RelayError, systemClock } from '../../../src/core/core.ts';
import type { Clock } from '../../../src/core/core.ts';
import type { Message } from '../../../src/message/message.ts';
import type { Sendable, Value } from '../../../src/values/values.ts';
import { pluginHostDefaults } from '../../../src/plugin-host/plugin-host.ts';
import type { HostedMethod } from '../../../src/rpc/rpc.ts';
import type { HostEvent, PluginState, RelayPort } from '../../../src/plugin-host/plugin-host.ts';
import type { ProgramRecord } from '../../../src/plugin-host/programs/options.ts';
import type { Program } from '../../../src/plugin-host/programs/program.ts';
import { Programs } from '../../../src/plugin-host/programs/program-set.ts';
import { EventRecord } from '../../support/event-record.ts';
import { LogRecord } from '../../support/log-record.ts';
import { temporaryDir } from '../../support/relays.ts';
import { loggedEvents } from '../kit.ts';

/** The fixture program; its first argument selects its behaviour. */
export const FIXTURE = fileURLToPath(new URL('../../fixtures/programs/program.mjs', import.meta.url));

export interface ProgramKit {
  readonly plugin: Program;
  readonly programs: Programs;
  readonly log: LogRecord;
  readonly seen: EventRecord<HostEvent>;
  readonly stateDir: string;
  /** Starts the program, which is stopped when the test ends. */
  start(): Promise<void>;
  /** Calls one of its methods by the last part of its name. */
  call(method: string, ...params: Value[]): Promise<Sendable | undefined>;
  /** Delivers a message. */
  deliver(message: Message): boolean;
  /** Resolves once the plugin has entered a state of this type `count` times (default 1), including the past. */
  until(type: PluginState['type'], count?: number): Promise<PluginState>;
}

export interface KitOptions {
  readonly args?: readonly string[];
  readonly record?: Partial<ProgramRecord>;
  readonly clock?: Clock;
  readonly receiveTimeoutMs?: number;
  readonly random?: () => number;
  readonly maxBodyBytes?: number;
}

/** Creates a program with this behaviour without starting it. */
export function programOf(
  t: ExecutionContext,
  mode: string,
  { args = [], record, clock = systemClock, receiveTimeoutMs, random = () => 0, maxBodyBytes = 8 * 1024 * 1024 }: KitOptions = {},
): ProgramKit {
  const stateDir = join(temporaryDir(t), 'state');
  mkdirSync(stateDir);
  const log = new LogRecord();
  const events = loggedEvents(log.source);
  const seen = new EventRecord(events);
  const programs = new Programs({
    options: { ...pluginHostDefaults, ...(receiveTimeoutMs === undefined ? {} : { receiveTimeoutMs }) },
    surroundings: { relayUrl: () => 'http://127.0.0.1:1', stateDir, maxBodyBytes, version: '0.9.0', random, env: process.env },
    clock,
    logs: log.source,
    events,
    deliverTo: (satellite, message) => satellite === 'ham' && plugin.inboxes[0]?.take(message) === true,
  });
  const plugin: Program = programs.add({ name: 'ham', exec: process.execPath, args: [FIXTURE, mode, ...args], ...record });
  const exposed = new Map<string, HostedMethod>();
  const port: RelayPort = {
    expose: (_plugin, methods) => {
      exposed.clear();
      for (const method of methods) exposed.set(method.name, method);
    },
    send: () => Promise.reject(new Error('no program sends through the port')),
    call: () => Promise.reject(new Error('no program calls through the port')),
  };
  t.timeout(50_000);
  t.teardown(async () => {
    const stopping = plugin.stop();
    // A program whose calls the test itself fetches does not answer `plugin.stop`.
    const { pid } = plugin.status;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await stopping;
    await programs.stop();
  });
  return {
    ...{ plugin, programs, log, seen, stateDir },
    start: () => plugin.start(port),
    call: async (method, ...params) => {
      const found = exposed.get(`ham.${method}`);
      if (!found) throw new RelayError('NO_SUCH_METHOD', `no method ${method}; there are ${[...exposed.keys()].join(', ')}`);
      return found.invoke(params, () => undefined);
    },
    deliver: (message) => plugin.inboxes[0]?.take(message) ?? false,
    until: async (type, count = 1) => (await seen.event('plugin.state', { state: { type } as PluginState }, count)).state,
  };
}

/** True if a process with this id runs; a zombie does not count. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Resolves when no process with this id runs any more. */
export async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await nextTurn();
}

/** Reads the process id that a fixture program wrote to a file. */
export function pidIn(file: string): number {
  return Number(readFileSync(file, 'utf8'));
}
