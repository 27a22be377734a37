/** The wire methods `recording.*`. */
import { submitterOf } from '../access/access.ts';
import { RelayError, reasonOf } from '../core/core.ts';
import { frameOf } from '../plugin-host/plugin-host.ts';
import type { Frame } from '../plugin-host/plugin-host.ts';
import { atNodes, isCount, onlyMembers, waitOf, wrongParams } from '../rpc/rpc.ts';
import type { Caller, Dispatcher, Method, MethodRegistry } from '../rpc/rpc.ts';
import { Double, isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { commandState } from './commands.ts';
import type { Commands } from './commands.ts';
import { frameOnWire } from './frames.ts';
import type { Recorder, RecordingStatus } from './recorder.ts';
import { reasonIn } from './recording.ts';

export interface RecordingMethodsParts {
  readonly recorder: Recorder;
  readonly commands: Commands;
  /** Calls other nodes. */
  readonly dispatcher: Pick<Dispatcher, 'callNode'>;
  /** ms since 1970. */
  readonly date: () => number;
}

type Struct = Readonly<Record<string, Sendable>>;

const DEFAULT_LIMIT = 256 * 1024;
// As XML-RPC, bytes take a third more; the answer stays below the default limit on a body.
const MAX_LIMIT = 4 * 1024 * 1024;
// Short commands are answered in one call.
const COMMAND_WAIT_MS = 10_000;
const MAX_SPEED = 1_000_000;
const COMMAND = 'recording.command';
// The number of the parameter with its options.
const COMMAND_OPTIONS = 2;

/** Registers the methods. */
export function addRecordingMethods(registry: MethodRegistry, parts: RecordingMethodsParts): void {
  for (const method of [...operatingMethods(parts), ...readingMethods(parts), ...commandMethods(parts)])
    registry.add(atNodes(method, parts.dispatcher, method.name === COMMAND ? COMMAND_OPTIONS : 0));
}

/** The methods that list, start and stop recordings. */
function operatingMethods({ recorder }: RecordingMethodsParts): readonly Method[] {
  return [
    {
      name: 'recording.list',
      access: 'call',
      help: 'Lists the datasources and recordings: [{name, help, is_offered, state, reason, frames, bytes, ...}]. state is idle, recording, unresponsive, backoff or failed.',
      signatures: [['array'], ['array', 'struct']],
      invoke: (params) => {
        onlyMembers('recording.list', params, []);
        return recorder.list().map(statusOnWire);
      },
    },
    {
      name: 'recording.get',
      access: 'call',
      help: 'Returns a recording as recording.list does, with its newest frame as the member latest, an array of one frame or none.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      invoke: (params) => {
        const status = recorder.status(named('recording.get', params, []).name);
        return { ...statusOnWire(status), latest: status.latest ? [frameOnWire(status.latest)] : [] };
      },
    },
    {
      name: 'recording.start',
      access: 'call',
      help: "Starts a recording: recording.start({name: 'ham.spam:record', dicts?, file?, store?}). With dicts: true its frames are sent to all satellites and peers, file is the name of a file of lines of JSON, and with store: true they are kept for recording.replay. It is started again with the relay, until recording.stop. Returns the recording.",
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      invoke: async (params) => {
        const { name, dicts, file, store } = named('recording.start', params, ['dicts', 'file', 'store']);
        if (dicts !== undefined && typeof dicts !== 'boolean') throw wrongParams('dicts must be true or false');
        if (store !== undefined && typeof store !== 'boolean') throw wrongParams('store must be true or false');
        if (file !== undefined && typeof file !== 'string') throw wrongParams("file must be a name, such as 'load.ndjson'");
        const targets = {
          ...(dicts !== undefined && { dicts }),
          ...(store !== undefined && { store }),
          ...(file !== undefined && { file }),
        };
        return statusOnWire(await recorder.startRecording(name, targets));
      },
    },
    {
      name: 'recording.stop',
      access: 'call',
      help: 'Stops a recording and returns it; one that is idle stays so. Subscribers can still read its last frames.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      invoke: async (params) => statusOnWire(await recorder.stopRecording(named('recording.stop', params, []).name)),
    },
  ];
}

/** The methods that read frames. */
function readingMethods({ recorder }: RecordingMethodsParts): readonly Method[] {
  return [
    {
      name: 'recording.subscribe',
      access: 'call',
      help: "Returns frames of a recording: recording.subscribe({name, from?, limit?, waitMs?}) -> {frames, next, missed, reset, state, reason}. from is 'first' (the default: from the first frame of the recording on), 'now', or the next of the last answer. With waitMs it waits for a frame or a change of the state, at most 60000 ms. missed counts frames for which the subscriber was too slow; limit is a number of bytes. Each frame is {source, type, timestamp, payload}.",
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      invoke: async (params, caller) => {
        const { name, from = 'first', limit, waitMs = 0 } = named('recording.subscribe', params, ['from', 'limit', 'waitMs']);
        if (typeof from !== 'string') throw wrongParams("from must be 'first', 'now', or the next of the last answer");
        const wanted = { from, maxBytes: limitOf(limit), waitMs: waitOf(waitMs), signal: caller.gone };
        const { frames, next, missed, isReset, state } = await recorder.page(name, wanted);
        return { frames: frames.map(frameOnWire), next, missed, reset: isReset, state: state.type, reason: reasonIn(state) };
      },
    },
    {
      name: 'recording.replay',
      access: 'call',
      help: 'Returns stored frames when they are due: recording.replay({name, since?, until?, speed?, next?, limit?, waitMs?}) -> {frames, next, ended}. since and until are ms since 1970 or dates. speed is 1 by default, the original one; 0 is without waiting. Go on with next: next until ended is true. With waitMs it waits for the next frame, at most 60000 ms.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      invoke: async (params, caller) => {
        const members = ['since', 'until', 'speed', 'next', 'limit', 'waitMs'];
        const { name, since, until, speed = 1, next: cursor, limit, waitMs = 0 } = named('recording.replay', params, members);
        if (cursor !== undefined && typeof cursor !== 'string') throw wrongParams('next must be the next of the last answer');
        if (typeof speed !== 'number' || !(speed >= 0 && speed <= MAX_SPEED))
          throw wrongParams(`speed must be a number from 0 to ${MAX_SPEED}`);
        const { frames, next, isEnd } = await recorder.replay(name, {
          ...{ since: timeOf('since', since), until: timeOf('until', until), speed, cursor },
          ...{ maxBytes: limitOf(limit), waitMs: waitOf(waitMs), signal: caller.gone },
        });
        return { frames: frames.map(frameOnWire), next, ended: isEnd };
      },
    },
  ];
}

/** The methods that command controllers. */
function commandMethods({ commands, date }: RecordingMethodsParts): readonly Method[] {
  const pageOf = async (id: string, caller: Caller, from: number, limit: number, waitMs: number): Promise<Struct> => {
    const page = await commands.page(id, submitterOf(caller), { from, maxBytes: limit, waitMs, signal: caller.gone });
    return {
      ...{ command: id, frames: page.items.map(({ item }) => frameOnWire(item)), next: page.next, ended: page.state.type !== 'open' },
      ...{ state: commandState(page), reason: 'reason' in page.state ? page.state.reason : '' },
    };
  };
  return [
    {
      name: COMMAND,
      access: 'call',
      help: "Sends a frame to a controller: recording.command('ham.spam:command', {type, payload, source?, timestamp?}, {waitMs?}) -> {command, frames, next, ended, state, reason}. payload is base64 or a string. It waits for the first frames of the answer, 10000 ms by default; get the others by recording.frames. Nobody else gets them. state is running, succeeded, failed or canceled.",
      signatures: [
        ['struct', 'string', 'struct'],
        ['struct', 'string', 'struct', 'struct'],
      ],
      invoke: async ([name, frame, ...rest], caller) => {
        if (typeof name !== 'string' || !isDict(frame))
          throw wrongParams("recording.command takes the name of a controller and a frame: {type: 'text/plain', payload: 'hello'}");
        const { waitMs = COMMAND_WAIT_MS } = onlyMembers(COMMAND, rest, ['waitMs']);
        const wait = waitOf(waitMs);
        const { id } = commands.begin(name, sentFrame(frame, name, date), submitterOf(caller));
        return pageOf(id, caller, 0, DEFAULT_LIMIT, wait);
      },
    },
    {
      name: 'recording.frames',
      access: 'call',
      help: 'Returns the next frames of a command: recording.frames({command, next?, limit?, waitMs?}) -> {command, frames, next, ended, state, reason}. Pass the next of the last answer; earlier frames are forgotten then. A command is canceled if its caller does not ask for 60 s.',
      signatures: [
        ['struct', 'string'],
        ['struct', 'struct'],
      ],
      invoke: async (params, caller) => {
        const { command, next = 0, limit, waitMs = 0 } = commanded('recording.frames', params, ['next', 'limit', 'waitMs']);
        if (!isCount(next, 0, Number.MAX_SAFE_INTEGER)) throw wrongParams('next must be the next of the last answer');
        return pageOf(command, caller, next, limitOf(limit), waitOf(waitMs));
      },
    },
    {
      name: 'recording.cancel',
      access: 'call',
      help: 'Ends a command of the caller, and returns true; one that has ended stays as it is.',
      signatures: [
        ['boolean', 'string'],
        ['boolean', 'struct'],
      ],
      invoke: (params, caller) => {
        commands.cancel(commanded('recording.cancel', params, []).command, submitterOf(caller));
        return true;
      },
    },
  ];
}

/** A recording in a few members. */
export function recordingSummary({ name, state, counters }: RecordingStatus): Struct {
  return { name, state: state.type, reason: reasonIn(state), frames: new Double(counters.frames) };
}

/** Every member is always present, so that typed clients can rely on it. Numbers that may exceed 32 bits are doubles. */
function statusOnWire({ name, help, isOffered, state, counters, readers, missed, first, next, targets, kept }: RecordingStatus): Struct {
  const until = state.type === 'unresponsive' ? state.missed : 0;
  return {
    ...{ name, help, is_offered: isOffered, state: state.type, reason: reasonIn(state), timeouts_in_a_row: until },
    ...{ frames: new Double(counters.frames), bytes: new Double(counters.bytes), restarts: counters.restarts, timeouts: counters.timeouts },
    ...{ readers, missed: new Double(missed), first, next },
    targets: Object.fromEntries(
      Object.entries(targets).map(([kind, { written, lost, lastError }]) => [
        kind,
        { written: new Double(written), lost: new Double(lost), last_error: lastError },
      ]),
    ),
    stored: {
      ...{ frames: new Double(kept.frames), bytes: new Double(kept.bytes) },
      ...{ oldest: isoTime(kept.oldest), newest: isoTime(kept.newest) },
    },
  };
}

function isoTime(ms: number | undefined): string {
  return ms === undefined ? '' : new Date(ms).toISOString();
}

/** The frame that a caller sends. */
function sentFrame(frame: Dict, name: string, date: () => number): Frame {
  try {
    return frameOf(frame, name, date);
  } catch (error) {
    throw new RelayError('INVALID_PARAMS', reasonOf(error));
  }
}

/** A name alone, or a struct with it and these other members. */
function named(method: string, params: readonly Value[], members: readonly string[]): Dict & { readonly name: string } {
  return identified(method, params, 'name', members) as Dict & { readonly name: string };
}

/** The id of a command alone, or a struct with it and these other members. */
function commanded(method: string, params: readonly Value[], members: readonly string[]): Dict & { readonly command: string } {
  return identified(method, params, 'command', members) as Dict & { readonly command: string };
}

function identified(method: string, params: readonly Value[], id: string, members: readonly string[]): Readonly<Record<string, Value>> {
  const [first] = params;
  const struct = typeof first === 'string' && params.length === 1 ? { [id]: first } : onlyMembers(method, params, [id, ...members]);
  if (typeof struct[id] !== 'string') throw wrongParams(`${method} needs the member ${id}, a string`);
  return struct;
}

function limitOf(limit: Value | undefined): number {
  if (limit === undefined) return DEFAULT_LIMIT;
  if (isCount(limit, 1, MAX_LIMIT)) return limit;
  throw wrongParams(`limit must be a number of bytes from 1 to ${MAX_LIMIT}`);
}

function timeOf(name: string, value: Value | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = value instanceof Date ? value.getTime() : value;
  if (typeof ms === 'number' && Number.isFinite(ms)) return ms;
  throw wrongParams(`${name} must be ms since 1970, or a date`);
}
