/** Options of remote satellites: how many may register, and when one counts as gone. */
import { z } from 'zod';

export interface SatelliteOptions {
  /**
   * Remote satellites that may be registered at once. Default 100: each may fill an `outbox`, so this protects the relay's memory.
   * Public, as `max_satellites`.
   */
  readonly maxSatellites: number;
  /**
   * ms between two pings of a satellite. Default 30,000: one that died is noticed within some minutes, and a hundred of them cost three
   * calls a second.
   */
  readonly pingIntervalMs: number;
  /**
   * Failures in a row until a satellite is dropped. Default 3: it survives a restart of its program; a dropped satellite may register
   * again at once.
   */
  readonly maxPingFails: number;
}

export const satelliteDefaults: SatelliteOptions = {
  maxSatellites: 100,
  pingIntervalMs: 30_000,
  maxPingFails: 3,
};

export const satelliteShape = {
  maxSatellites: z.int().min(0).max(10_000),
  pingIntervalMs: z.int().min(10).max(86_400_000),
  maxPingFails: z.int().min(1).max(1000),
};
