/** Options of remote satellites: how many may register, and when one counts as gone. */
import * as z from 'zod/mini';

/** The options of remote satellites. */
export interface SatelliteOptions {
  /**
   * Remote satellites that may be registered at the same time. Default 100: each may hold an `outbox`, so this protects the memory of the
   * relay. Callers can read it as `max_satellites`.
   */
  readonly maxSatellites: number;
  /**
   * Time between two pings of a satellite. Default 30,000: one that is gone is noticed within minutes, and pinging a hundred of them costs
   * about three calls a second.
   */
  readonly pingIntervalMs: number;
  /**
   * Failed pings in a row after which a satellite is dropped. Default 3, so that its program can restart; it may register again at once.
   */
  readonly maxPingFails: number;
}

export const satelliteDefaults: SatelliteOptions = {
  maxSatellites: 100,
  pingIntervalMs: 30_000,
  maxPingFails: 3,
};

export const satelliteShape = {
  maxSatellites: z.int().check(z.gte(0), z.lte(10_000)),
  pingIntervalMs: z.int().check(z.gte(10), z.lte(86_400_000)),
  maxPingFails: z.int().check(z.gte(1), z.lte(1000)),
};
