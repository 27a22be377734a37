/** Rate limits: a token bucket per address or access token, refilled over time. */
import { RelayError } from '../core/core.ts';
import { addressBlock } from '../message/message.ts';
import type { Clock, Log } from '../core/core.ts';
import { describeCaller } from './roles.ts';
import type { Role, Principal } from './roles.ts';
import type { Rate, AccessOptions } from './options.ts';

type Kind = Exclude<Role['kind'], 'plugin'>;

interface Bucket {
  readonly kind: Kind;
  /** Name of the token, id of the node, or the caller's address block. */
  readonly name: string;
  calls: number;
  filledAt: number;
  /** True if the limit was logged and the bucket has not been full since. */
  isReported: boolean;
}

// About 2 MB. A caller with more addresses than that gets new buckets anyway, and the relay's memory matters more.
const MAX_BUCKETS = 10_000;

/** The buckets of all callers. */
export class RateLimits {
  // Least recently used first. A caller without a bucket has a full one.
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

  /** Number of rejected calls. */
  get refused(): number {
    return this.#refused;
  }

  /** Charges one call to the caller. Throws a RelayError RATE_LIMITED that says when to call again. */
  take(caller: Principal): void {
    const bucket = this.#ready(caller);
    if (bucket) bucket.calls--;
  }

  /** Throws what {@link take} would throw, without charging anything. */
  require(caller: Principal): void {
    this.#ready(caller);
  }

  /** The caller's bucket, which holds at least one call; undefined for plugins, which have no limit. */
  #ready(caller: Principal): Bucket | undefined {
    const { role } = caller;
    if (role.kind === 'plugin') return undefined;
    const rate = this.#rates[role.kind];
    const bucket = this.#filled(role.kind, nameOf(caller), rate);
    if (bucket.calls >= 1) return bucket;
    this.#refused++;
    const who = describeCaller(caller);
    if (!bucket.isReported)
      this.log.warn(`${who} exceeds ${rate.perSecond} calls per second (limits.${role.kind}); excess calls are rejected`);
    bucket.isReported = true;
    const retryAfterMs = Math.ceil(((1 - bucket.calls) / rate.perSecond) * 1000);
    const text = `too many calls: ${rate.perSecond} per second are allowed, ${rate.burst} at once; call again in ${retryAfterMs} ms`;
    throw new RelayError('RATE_LIMITED', text, { retryAfterMs });
  }

  #filled(kind: Kind, name: string, { perSecond, burst }: Rate): Bucket {
    const now = this.clock.now();
    const bucket = this.#used(kind, name) ?? this.#add({ kind, name, calls: burst, filledAt: now, isReported: false });
    bucket.calls = Math.min(burst, bucket.calls + ((now - bucket.filledAt) * perSecond) / 1000);
    bucket.filledAt = now;
    if (bucket.calls === burst) bucket.isReported = false;
    return bucket;
  }

  /** The caller's bucket, if there is one, moved to the end of the order of use. */
  #used(kind: Kind, name: string): Bucket | undefined {
    // Most calls come from the previous caller; finding a bucket and moving it to the end costs more than everything else here.
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

function nameOf({ role, address }: Principal): string {
  if (role.kind === 'token') return role.name;
  return role.kind === 'peer' && role.node ? role.node.id : addressBlock(address);
}
