/** Delivery inside a child: a message goes to all satellites of its module at once, and is answered when all of them are done with it. */
import { RelayError, withTimeout } from '../../core/core.ts';
import { dictOf, freezeDict, isDict, shareDict } from '../../values/values.ts';
import type { Clock } from '../../core/core.ts';
import type { Dict, Frozen, Value } from '../../values/values.ts';
import type { Verdict } from '../../message/message.ts';
import { DeliveryContext, reasonText, whereThrown } from '../hosted/hosted.ts';
import type { ContextStamp } from '../hosted/hosted.ts';
import type { SatelliteInstance } from '../modules/modules.ts';

/** A satellite that has a `receive` of its own. */
export interface Taker {
  /** `ham.spam.Spam` */
  readonly name: string;
  readonly instance: SatelliteInstance;
}

export interface DeliveryParts {
  readonly takers: () => readonly Taker[];
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** The directory of the plugins, for the place of an error. */
  readonly directory: string;
}

export class Delivery {
  readonly #underWay = new Set<DeliveryContext>();

  constructor(private readonly parts: DeliveryParts) {}

  /** `notify(dict)` of the relay. Rejects with a RelayError APPLICATION that names the satellites that failed, and why. */
  async notify([dict]: readonly Value[]): Promise<boolean> {
    if (!isDict(dict)) throw new RelayError('INVALID_PARAMS', 'notify takes one struct');
    await this.deliver(withoutStamp(dict), stampOf(dict.co2));
    return true;
  }

  /** To all but `except`. Rejects as {@link notify}. */
  async deliver(dict: Frozen, stamp: ContextStamp, except?: string): Promise<void> {
    const { takers } = this.parts;
    const wanted = takers().filter(({ name }) => name !== except);
    const failures = await Promise.all(wanted.map((taker) => this.#receive(taker, dict, stamp)));
    const reasons = failures.filter((reason) => reason !== undefined);
    if (reasons.length > 0) throw new RelayError('APPLICATION', reasons.join('; '));
  }

  /** Aborts the signals of what is still received. */
  abort(): void {
    for (const context of this.#underWay) context.abort(new RelayError('UNAVAILABLE', 'the relay stops'));
  }

  /** Answers why it failed. */
  async #receive({ name, instance }: Taker, frozen: Frozen, stamp: ContextStamp): Promise<string | undefined> {
    const { clock, timeoutMs, directory } = this.parts;
    const context = new DeliveryContext(stamp);
    this.#underWay.add(context);
    try {
      const late = `it did not end in ${timeoutMs} ms (receiveTimeoutMs); the next message is delivered`;
      await withTimeout(clock, timeoutMs, late, () => instance.receive?.(shareDict(frozen), context));
      return undefined;
    } catch (error) {
      if (RelayError.is(error) && error.code === 'TIMEOUT') context.abort(error);
      return `${name}: ${reasonText(error, directory)}${whereThrown(error, directory)}`;
    } finally {
      this.#underWay.delete(context);
    }
  }
}

function withoutStamp(dict: Dict): Frozen {
  const members = Object.keys(dict).filter((name) => name !== 'co2' && name !== 'host_id' && name !== 'client_address');
  return freezeDict(dictOf(['host_id', 'client_address', ...members].map((name) => [name, dict[name] ?? null])));
}

/** The relay's `{id, hops, age_ms, redelivered, verdict}`. */
function stampOf(co2: Value | undefined): ContextStamp {
  const { id, hops, age_ms: age, redelivered, verdict } = isDict(co2) ? co2 : dictOf();
  return {
    id: typeof id === 'string' ? id : '',
    hops: typeof hops === 'number' ? hops : 0,
    ageMs: typeof age === 'number' ? age : 0,
    redelivered: redelivered === true,
    verdict: (typeof verdict === 'string' ? verdict : 'checked') as Verdict,
  };
}
