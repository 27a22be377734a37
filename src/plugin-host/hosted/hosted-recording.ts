/** The datasources and controllers that a plugin offers, wherever it runs, and what makes a value one of their frames. */
import { RelayError, clean, memoize, parseMediaType } from '../../core/core.ts';
import type { FRAME_OVERFLOWS, Frame } from '../../plugin/internal.ts';
import { Double, Int64, describeValue, isDict } from '../../values/values.ts';

/** Whether a datasource or a controller can be used: `down` while its plugin is, `failed` if that is not started again by itself. */
export type Readiness = 'ready' | 'down' | 'failed';

/** A datasource. */
export interface HostedDatasource {
  /** `ham.spam:record` */
  readonly name: string;
  /** The doc comment, `''` if there is none. */
  readonly help: string;
  /** ms within which the next frame must come. Undefined: whenever it comes. */
  readonly timeoutMs: number | undefined;
  /** Timeouts in a row after which a recording fails. */
  readonly maxTimeouts: number;
  readonly overflow: (typeof FRAME_OVERFLOWS)[number];
  readonly maxFrames: number;
  readonly maxBytes: number;
  readonly readiness: Readiness;
  /**
   * Records until `signal` is aborted. The iteration yields the frames and ends when the datasource ends the recording. It throws what the
   * plugin throws, a RelayError UNAVAILABLE if the plugin ended, or the reason of the signal. Ending the iteration ends the recording.
   */
  readonly record: (signal: AbortSignal) => AsyncIterable<Frame>;
}

/** A controller. */
export interface HostedController {
  /** `ham.spam:command` */
  readonly name: string;
  readonly help: string;
  /** ms that a command may run. */
  readonly timeoutMs: number;
  /** Commands that may run at once. Undefined: no limit of its own. */
  readonly maxConcurrent: number | undefined;
  readonly readiness: Readiness;
  /** Runs one command. The iteration yields its frames for the caller, and throws as {@link HostedDatasource.record} does. */
  readonly command: (frame: Frame, signal: AbortSignal) => AsyncIterable<Frame>;
}

/** The plugin ended while something of it ran: it crashed, or was stopped or reloaded. */
export class PluginEnded extends RelayError {
  readonly isPluginEnd = true;

  constructor(text: string) {
    super('UNAVAILABLE', text);
  }

  /** True for such an error. */
  static isEnd(error: unknown): error is PluginEnded {
    return RelayError.is(error) && (error as Partial<PluginEnded>).isPluginEnd === true;
  }
}

/** The defaults of the options of a datasource, wherever it runs. */
export const DATASOURCE_DEFAULTS = { maxTimeouts: 3, overflow: 'drop-oldest', maxFrames: 1_000, maxBytes: 4 * 1024 * 1024 } as const;
/** ms that a command may run by default. */
export const COMMAND_TIMEOUT_MS = 60_000;

const MAX_SOURCE = 200;
const MAX_TYPE = 200;
// The last date that JavaScript knows.
const MAX_TIMESTAMP = 8.64e15;

/**
 * The frame that `value` is, with what it lacks filled in: the source `name`, and the time `now()`. Throws a RelayError APPLICATION that
 * names the datasource or controller and says what is wrong.
 */
export function frameOf(value: unknown, name: string, now: () => number): Frame {
  const refuse = (reason: string): never => {
    throw new RelayError('APPLICATION', `${name}: ${reason}`);
  };
  if (!isStruct(value)) return refuse(`it yielded ${describeValue(value)}, expected a frame: { type: 'text/plain', payload: 'hello' }`);
  const { source = name, type, timestamp, payload } = value;
  if (typeof source !== 'string' || !isSource(source))
    return refuse(
      `the source of a frame must be a text of at most ${MAX_SOURCE} characters without control characters, found ${describeValue(source)}`,
    );
  if (typeof type !== 'string' || !isMediaType(type))
    return refuse(`the type of a frame must be a media type such as 'application/json', found ${describeValue(type)}`);
  const ms = timestamp === undefined ? now() : millisecondsOf(timestamp);
  if (ms === undefined) return refuse(`the timestamp of a frame must be ms since 1970, found ${describeValue(timestamp)}`);
  const bytes = bytesOf(payload);
  if (!bytes) return refuse(`the payload of a frame must be bytes or a text, found ${describeValue(payload)}`);
  return { source, type, timestamp: ms, payload: bytes };
}

function isStruct(value: unknown): value is Readonly<Record<string, unknown>> {
  if (isDict(value)) return true;
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

// Datasources have few types and sources; checking them for each frame would take longer than everything else.
const isMediaType = memoize((type: string): boolean => type.length <= MAX_TYPE && parseMediaType(type)?.isWellFormed === true);
const isSource = memoize((source: string): boolean => source.length <= MAX_SOURCE && source === clean(source, Infinity));

function millisecondsOf(timestamp: unknown): number | undefined {
  const ms = Double.is(timestamp)
    ? timestamp.value
    : Int64.is(timestamp) || typeof timestamp === 'bigint'
      ? Number(valueOf(timestamp))
      : timestamp;
  return typeof ms === 'number' && Math.abs(ms) <= MAX_TIMESTAMP ? ms : undefined;
}

function valueOf(integer: Int64 | bigint): bigint {
  return Int64.is(integer) ? integer.value : integer;
}

function bytesOf(payload: unknown): Buffer | undefined {
  if (Buffer.isBuffer(payload)) return payload;
  if (typeof payload === 'string') return Buffer.from(payload);
  return payload instanceof Uint8Array ? Buffer.from(payload.buffer, payload.byteOffset, payload.length) : undefined;
}
