/** What a program as a plugin is made of. */
import type { Clock, QueueLimits, Log } from '../../core/core.ts';
import type { PluginEvent, PluginKind } from '../hosted/hosted.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { ProgramOptions, ProgramRecord } from './options.ts';
import type { OrphanWatch } from './orphan-watch.ts';
import type { PauseWatch } from './pause-watch.ts';
import type { PreparationParts } from './preparation.ts';

/** Why something of a plugin failed, for its log. */
export interface Explained {
  /** Where, in words. */
  readonly place: string;
  readonly reason: string;
  /** The lines around it. */
  readonly rows: readonly string[];
}

export interface ProgramParts {
  readonly record: ProgramOptions;
  /** As it is by now, for a start or a reload by hand. Rejects with a RelayError PLUGIN_REFUSED. Default: it is always the same. */
  readonly renew?: (() => Promise<ProgramRecord>) | undefined;
  /** Says more of why another process does not take its place. Default: the name of the plugin, and the reason as it is. */
  readonly explain?: ((reason: string) => Promise<Explained>) | undefined;
  readonly kind: Exclude<PluginKind, 'inline'>;
  /** As people are told of it: the command of a program. */
  readonly file: string;
  /** Says more of an end than the system does. Default: nothing more. */
  readonly endInWords?: ((reason: string) => string) | undefined;
  /** As {@link PreparationParts.onFirstAnswer}. */
  readonly onFirstAnswer?: PreparationParts['onFirstAnswer'];
  readonly inbox: QueueLimits;
  /** ms for each answer before it is ready. */
  readonly setupTimeoutMs: number;
  /** ms for a `plugin.handover`, and for calls that are under way when another process takes the place of theirs. */
  readonly exitTimeoutMs: number;
  /** ms for one `notify`. */
  readonly receiveTimeoutMs: number;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Of the category `plugin.<name>`. */
  readonly log: Log;
  readonly orphans: Pick<OrphanWatch, 'add' | 'drop'>;
  readonly pauses: PauseWatch;
  readonly deadLetters: Pick<DeadLetters, 'add'>;
  /** Where programs call the relay, without credentials; known once it listens. */
  readonly relayUrl: () => string;
  /** Where the directories of programs are made. */
  readonly stateDir: string;
  /** Bytes of an answer. */
  readonly maxBodyBytes: number;
  /** Version of the relay. */
  readonly version: string;
  /** The relay's own environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True as long as the start of the relay fails with it. */
  readonly isVital?: (() => boolean) | undefined;
  readonly onEvent: (event: PluginEvent) => void;
  /** Told when the token of its process changed. */
  readonly onToken: () => void;
}
