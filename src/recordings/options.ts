/** The options of recordings. */
import * as z from 'zod/mini';

/** Where the frames of one datasource go, besides its subscribers. */
export interface RecordingTargets {
  /** Send each frame as a dict to all satellites and peers: `{data: {recording, frame}}`. Default false. */
  readonly dicts?: boolean | undefined;
  /**
   * Append each frame to this file as a line of JSON. A name such as `load.ndjson` is a file in `recordings/` of the state directory; an
   * absolute path must be in one of `recordingLimits.directories`. Default: none.
   */
  readonly file?: string | undefined;
  /** Keep the frames in the store, from which `recording.replay` reads. Default false. */
  readonly store?: boolean | undefined;
}

/** The settings of one datasource. */
export interface RecordingSettings extends RecordingTargets {
  /** Start recording with the relay. Default false. */
  readonly start?: boolean | undefined;
}

/** Limits on all recordings and commands of this relay. */
export interface RecordingLimits {
  /** Directories in which recordings may write files. Default none: only `recordings/` of the state directory. */
  readonly directories: readonly string[];
  /** Bytes of the payload of one frame; a larger one is an error of its datasource. Default 1 MiB: it passes every call and every peer. */
  readonly maxFrameBytes: number;
  /** Bytes of the frames of one datasource that are kept for subscribers, whatever the datasource asks for. Default 64 MiB. */
  readonly maxBufferedBytes: number;
  /** Bytes of a file of frames; then a new one is begun. Default 64 MiB. */
  readonly maxFileBytes: number;
  /** Full files that are kept besides the current one: `load.ndjson.1` is the newest of them. Default 4. */
  readonly keepFiles: number;
  /** Files of frames in one directory, each with the full ones that are kept; a recording to a further file is refused. Default 100. */
  readonly maxFiles: number;
  /** ms that frames are kept in the store. Default 7 days. */
  readonly keepMs: number;
  /** Bytes of one recording in the store; the oldest frames are removed. Default 64 MiB. */
  readonly maxStoredBytes: number;
  /** Commands of controllers that run, or whose frames wait for their caller. Default 100: each may hold some MiB. */
  readonly maxCommands: number;
}

export interface RecordingOptions {
  /** Settings of datasources by name: `{ 'sense.system:record': { start: true, dicts: true } }`. Default none. */
  readonly recordings: Readonly<Record<string, RecordingSettings>>;
  /** Limits on recordings and commands. */
  readonly recordingLimits: RecordingLimits;
}

const MIB = 1024 ** 2;
const DAY_MS = 24 * 3_600_000;

export const recordingDefaults: RecordingOptions = {
  recordings: {},
  recordingLimits: {
    directories: [],
    maxFrameBytes: MIB,
    maxBufferedBytes: 64 * MIB,
    maxFileBytes: 64 * MIB,
    keepFiles: 4,
    maxFiles: 100,
    keepMs: 7 * DAY_MS,
    maxStoredBytes: 64 * MIB,
    maxCommands: 100,
  },
};

/** `ham.spam:record` */
const NAME = /^\w[\w.-]{0,199}:[A-Za-z_]\w{0,99}$/;

const bytes = z.int().check(z.gte(1), z.lte(2 ** 40));
const count = z.int().check(z.gte(1), z.lte(1_000_000));

export const recordingShape = {
  recordings: z.record(
    z.string().check(z.regex(NAME, "expected the name of a datasource such as 'sense.system:record'")),
    z.strictObject({
      start: z.optional(z.boolean()),
      dicts: z.optional(z.boolean()),
      file: z.optional(z.string().check(z.minLength(1), z.maxLength(1_000))),
      store: z.optional(z.boolean()),
    }),
  ),
  recordingLimits: z.strictObject({
    directories: z.array(z.string().check(z.regex(/^\//, 'expected an absolute path'))),
    maxFrameBytes: z.int().check(z.gte(1), z.lte(64 * MIB)),
    maxBufferedBytes: bytes,
    maxFileBytes: z.int().check(z.gte(1024), z.lte(2 ** 40)),
    keepFiles: z.int().check(z.gte(0), z.lte(1_000)),
    maxFiles: count,
    keepMs: z.int().check(z.gte(1), z.lte(3_660 * DAY_MS)),
    maxStoredBytes: bytes,
    maxCommands: count,
  }),
};
