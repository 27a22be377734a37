/** What authors of datasources and controllers use: the frames that flow, and the options of `@Datasource` and `@Controller`. */

/** One recorded sample, or one message to or from a controller. A class, so that a decorated signature may name it. */
export abstract class Frame {
  /** What it is about: by default the name of the datasource or controller, `ham.spam:record`. At most 200 characters. */
  abstract readonly source: string;
  /** The media type of the payload, such as `application/json` or `image/jpeg`. */
  abstract readonly type: string;
  /** When it was made, in ms since 1970. */
  abstract readonly timestamp: number;
  /** At most `recordingLimits.maxFrameBytes` bytes. */
  abstract readonly payload: Buffer;
}

/** What a method yields; what is omitted is filled in. */
export interface NewFrame {
  /** Default: the name of the datasource or controller. */
  readonly source?: string | undefined;
  /** The media type of the payload. */
  readonly type: string;
  /** ms since 1970. Default: now. */
  readonly timestamp?: number | undefined;
  /** A text is sent as UTF-8. */
  readonly payload: Uint8Array | string;
}

/** What happens to frames that a subscriber is too slow for. */
export const FRAME_OVERFLOWS = ['drop-oldest', 'merge'] as const;

/** Options of `@Datasource`. */
export interface DatasourceOptions {
  /** ms within which the next frame must come; otherwise the recording is `unresponsive`. Default Infinity: frames come when they come. */
  readonly timeoutMs?: number | undefined;
  /** Timeouts in a row after which the recording is aborted and has `failed`; any frame resets the count. Default 3. */
  readonly maxTimeouts?: number | undefined;
  /**
   * What a subscriber gets that is slower than the frames. `drop-oldest`, the default: it misses the oldest, which are counted. `merge`: of
   * each source it gets the newest frame; use it for states of which only the last counts.
   */
  readonly overflow?: (typeof FRAME_OVERFLOWS)[number] | undefined;
  /** Frames that are kept for subscribers. Default 1,000. */
  readonly maxFrames?: number | undefined;
  /** Bytes of these frames, at most `recordingLimits.maxBufferedBytes` of the operator. Default 4 MiB. */
  readonly maxBytes?: number | undefined;
}

/** Options of `@Controller`. */
export interface ControllerOptions {
  /** ms that a command may run; then it is aborted and fails. Default 60,000. */
  readonly timeoutMs?: number | undefined;
  /** Commands that run at once; more are refused. Default: only the limit of the operator (`recordingLimits.maxCommands`). */
  readonly maxConcurrent?: number | undefined;
}
