/** How often each caller may call: a bucket of calls per address or token, that fills again with time. */
import { RelayError } from '../core/core.ts';
import { addressBlock } from '../message/message.ts';
import type { Clock, Log } from '../core/core.ts';
import { describeCaller } from './principal.ts';
import type { Role, Principal } from './principal.ts';
import type { Rate, AccessOptions } from './options.ts';

type Kind = Exclude<Role['kind'], 'plugin'>;

interface Bucket {
  readonly kind: Kind;
  /** Of the token, or where the caller is. */
  readonly name: string;
  calls: number;
  filledAt: number;
  /** Its emptiness was logged, and it was not full since. */
  isTold: boolean;
}

// About 2 MB; whoever has more addresses than that gets new buckets anyway, and the memory of the relay counts more.
const MAX_BUCKETS = 10_000;

export class RateLimits {
  // In order of use: the least recently used one goes first. A caller without a bucket has a full one.
  readonly #buckets = new Map<string, Bucket>();
  #latest: Bucket | undefined;
  readonly #rates: AccessOptions['limits'];
  #refused = 0;

  constructor(
    rates: AccessOptions['limits'],
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly maxBuckets = MAX_BUCKETS,
  ) {
    this.#rates = rates;
  }

  /** Calls that were refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Takes one call out of the caller's bucket. Throws a RelayError RATE_LIMITED that says when to come back. */
  take(caller: Principal): void {
    const bucket = this.#ready(caller);
    if (bucket) bucket.calls--;
  }

  /** Throws what {@link take} would throw, and takes nothing. */
  require(caller: Principal): void {
    this.#ready(caller);
  }

  /** The caller's bucket, with a call in it; undefined for who is not counted. */
  #ready(caller: Principal): Bucket | undefined {
    const { role } = caller;
    if (role.kind === 'plugin') return undefined;
    const rate = this.#rates[role.kind];
    const bucket = this.#filled(role.kind, role.kind === 'token' ? role.name : addressBlock(caller.address), rate);
    if (bucket.calls >= 1) return bucket;
    this.#refused++;
    const who = describeCaller(caller);
    if (!bucket.isTold) this.log.warn(`${who} calls more than ${rate.perSecond} times a second (limits.${role.kind}); the rest is refused`);
    bucket.isTold = true;
    const retryAfterMs = Math.ceil(((1 - bucket.calls) / rate.perSecond) * 1000);
    const text = `too many calls: ${rate.perSecond} per second are allowed, ${rate.burst} at once; call again in ${retryAfterMs} ms`;
    throw new RelayError('RATE_LIMITED', text, { retryAfterMs });
  }

  #filled(kind: Kind, name: string, { perSecond, burst }: Rate): Bucket {
    const now = this.clock.now();
    const bucket = this.#used(kind, name) ?? this.#add({ kind, name, calls: burst, filledAt: now, isTold: false });
    bucket.calls = Math.min(burst, bucket.calls + ((now - bucket.filledAt) * perSecond) / 1000);
    bucket.filledAt = now;
    if (bucket.calls === burst) bucket.isTold = false;
    return bucket;
  }

  /** The bucket of this caller, if there is one, as the one that was used last. */
  #used(kind: Kind, name: string): Bucket | undefined {
    // Most calls come from who called last; to find a bucket, and move it to the end, costs more than all else here.
    if (this.#latest?.name === name && this.#latest.kind === kind) return this.#latest;
    const bucket = this.#buckets.get(`${kind} ${name}`);
    if (bucket === undefined) return undefined;
    this.#buckets.delete(`${kind} ${name}`);
    return this.#add(bucket);
  }

  #add(bucket: Bucket): Bucket {
    this.#buckets.set(`${bucket.kind} ${bucket.name}`, bucket);
    this.#latest = bucket;
    if (this.#buckets.size <= this.maxBuckets) return bucket;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}
