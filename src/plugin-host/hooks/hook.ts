/** Runs one hook of one relay plugin: calls it with a timeout, validates its result and counts the outcome. */
import { clean, Fault, isPromise, RateLimitedLog, Refusal, RelayError, withTimeout } from '../../core/core.ts';
import type { Clock, Log, MaybePromise } from '../../core/core.ts';
import type { HookContext } from '../../plugin/internal.ts';
import { describeValue, isDict } from '../../values/values.ts';
import type { Dict } from '../../values/values.ts';
import { parseStruct, serialiseStructBytes } from '../../xmlrpc/xmlrpc.ts';
import { reasonText, whereThrown } from '../hosted/hosted.ts';

/** The information about a dict that a hook receives. */
export type HookAbout = Omit<HookContext, 'signal'>;

/** The replacement that a hook returned for a dict: its XML, `<struct>…</struct>`, and its decoded value. */
export interface Replacement {
  readonly source: Buffer;
  readonly dict: Dict;
}

/** The number of dicts by outcome of a plugin's hooks. */
export interface HookCounters {
  /** Dicts that passed unchanged. */
  passed: number;
  transformed: number;
  /** Dicts that the hook rejected on purpose. */
  refused: number;
  /** Dicts that were rejected because a hook timed out. */
  late: number;
  /** Dicts that were rejected because a hook threw an unexpected error or returned an invalid result. */
  failed: number;
}

export interface HookParts {
  /** `key.KeyFilter` */
  readonly name: string;
  /** The directory of the plugin, used to locate errors. */
  readonly directory: string;
  readonly method: (dict: Dict, context: HookContext) => unknown;
  readonly timeoutMs: number;
  /** The size limit of a dict in bytes of XML. */
  readonly maxDictBytes: number;
  readonly counters: HookCounters;
  readonly clock: Clock;
  readonly log: Log;
}

const HOW = 'return nothing to let it pass, a dict to change it, throw a Refusal to refuse it';

export class Hook {
  readonly #parts: HookParts;
  readonly #warnings: RateLimitedLog;

  constructor(parts: HookParts) {
    this.#parts = parts;
    this.#warnings = new RateLimitedLog(parts.log, parts.clock);
  }

  /**
   * Returns the replacement for `dict`, or undefined if it passes unchanged. Throws, or rejects with, the error for the submitter: a
   * RelayError or a Fault.
   */
  call(dict: Dict, about: HookAbout): MaybePromise<Replacement | undefined> {
    const context = new CallContext(about);
    let answer: unknown;
    let comesLater: boolean;
    try {
      answer = this.#parts.method(dict, context);
      comesLater = isPromise(answer);
    } catch (error) {
      throw this.#thrown(error, about);
    }
    return comesLater ? this.#wait(answer, context) : this.#finish(answer, about);
  }

  async #wait(answer: unknown, context: CallContext): Promise<Replacement | undefined> {
    const { clock, timeoutMs, counters } = this.#parts;
    const settled = Promise.resolve(answer).then(
      (given) => ({ given }),
      (thrown: unknown) => ({ thrown }),
    );
    const outcome = await withTimeout(clock, timeoutMs, '', () => settled).catch(() => undefined);
    if (outcome === undefined) {
      counters.late++;
      const reason = `it did not answer in ${timeoutMs} ms (hookTimeoutMs)`;
      context.abort(new RelayError('TIMEOUT', reason));
      throw this.#broken(context, reason);
    }
    if ('thrown' in outcome) throw this.#thrown(outcome.thrown, context);
    return this.#finish(outcome.given, context);
  }

  #finish(answer: unknown, about: HookAbout): Replacement | undefined {
    const { counters, directory } = this.#parts;
    if (answer === undefined) {
      counters.passed++;
      return undefined;
    }
    try {
      const replacement = this.#read(answer, about);
      counters.transformed++;
      return replacement;
    } catch (error) {
      counters.failed++;
      throw this.#broken(about, reasonText(error, directory));
    }
  }

  /** Throws an Error that describes the problem if the result is invalid. */
  #read(answer: unknown, { where }: HookAbout): Replacement {
    if (!isDict(answer)) throw new Error(`it returned ${describeValue(answer)}: ${HOW}`);
    if (where === 'through')
      throw new Error("it returned a dict for one that goes through: that is another relay's, and passes as it is or not at all");
    const source = serialiseStructBytes(answer, { nil: true, i8: true });
    const { maxDictBytes } = this.#parts;
    if (source.length > maxDictBytes)
      throw new Error(`it returned a dict of ${source.length} bytes as XML; at most ${maxDictBytes} are allowed (maxBodyBytes)`);
    const dict = parseStruct(source, { limits: { maxBodyBytes: source.length } });
    if (!Object.hasOwn(dict, 'data')) throw new Error("it returned a dict without the member 'data'");
    return { source, dict };
  }

  #thrown(error: unknown, about: HookAbout): Error {
    const { counters, directory, log, name } = this.#parts;
    if (!Refusal.is(error) && !RelayError.is(error) && !Fault.is(error)) {
      counters.failed++;
      return this.#broken(about, `${reasonText(error, directory)}${whereThrown(error, directory)}`);
    }
    counters.refused++;
    const reason = reasonText(error, directory);
    if (log.isDebugEnabled()) log.debug(`refused ${describe(about)} by ${name}: ${reason}`);
    return Refusal.is(error) ? new RelayError('FORBIDDEN', `relay plugin ${name} refused the dict: ${reason}`) : error;
  }

  /** Rejects the dict: a failing filter must never let one pass. */
  #broken(about: HookAbout, reason: string): RelayError {
    const { log, name } = this.#parts;
    const text = `refused ${describe(about)}, since ${name} failed: ${reason}`;
    // Any sender of dicts can trigger this at will.
    if (!this.#warnings.warn(text)) log.debug(text);
    return new RelayError('FORBIDDEN', `relay plugin ${name} failed, so the dict is refused; the relay's log has the reason`);
  }
}

class CallContext implements HookContext {
  readonly where: HookContext['where'];
  readonly id: string;
  readonly hops: number;
  readonly ageMs: number;
  readonly verdict: HookContext['verdict'];
  readonly from: HookContext['from'];
  readonly to: readonly string[];
  #controller: AbortController | undefined;

  constructor({ where, id, hops, ageMs, verdict, from, to }: HookAbout) {
    this.where = where;
    this.id = id;
    this.hops = hops;
    this.ageMs = ageMs;
    this.verdict = verdict;
    this.from = from;
    this.to = to;
  }

  /** Created on demand, because it costs more than the rest of a call. */
  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  abort(reason: Error): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }
}

function describe({ id, where }: HookAbout): string {
  return `${clean(id, 130)} (${where})`;
}
