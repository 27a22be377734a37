/** What authors of work use: the options of `@Work`, and what the method is called with. */
import type { Dict, Sendable } from '../values/values.ts';
import type { Logger } from './logger.ts';
import type { StandardSchema } from './schema.ts';

/** The forms in which a method can get its payload. */
export const WORK_PAYLOADS = ['bytes', 'stream', 'file'] as const;

/** Options of `@Work`. */
export interface WorkOptions {
  /**
   * The form of the payload: `bytes`, a Buffer, for payloads of up to 64 MiB; `stream`, an async iterable of Buffers; `file`, the path of a
   * file that is deleted with the unit. Default `bytes`.
   */
  readonly payload?: (typeof WORK_PAYLOADS)[number] | undefined;
  /** Units of this type that run at once; others wait in order. Default: only the limit on all units (`work.maxRunning`). */
  readonly maxConcurrent?: number | undefined;
  /** ms after which a running unit is aborted and fails. Default: the `work.timeoutMs` option of the operator. */
  readonly timeoutMs?: number | undefined;
  /** The schema of the parameters, a struct (zod 4, or any Standard Schema). Default: there are no parameters, and any are refused. */
  readonly params?: StandardSchema | undefined;
}

/** The payload of a unit, in the form that the options of `@Work` name. */
export type WorkPayload = Buffer | AsyncIterable<Buffer> | string;

/** What a method may yield: a struct, a text, or bytes. */
export type WorkResult = Readonly<Record<string, Sendable | undefined>> | string | Uint8Array;

/** The unit of work that a method was called for. A class, so that a decorated signature may name it. */
export abstract class WorkContext<Params = Dict, Config = unknown> {
  /** The id of the unit. */
  abstract readonly unit: string;
  /** The output of the schema of the parameters; an empty struct if there is none. */
  abstract readonly params: Params;
  /** The configuration of the plugin, as `setup` got it. */
  abstract readonly config: Config;
  /** Who submitted it, for people: `token ci`, `plugin ham.spam`, `local`. */
  abstract readonly submitter: string;
  /** Aborted when the unit is canceled or runs into its time limit, and when the plugin stops. */
  abstract readonly signal: AbortSignal;
  /** The logger of the plugin; each line begins with the id of the unit. */
  abstract readonly logger: Logger;
}
