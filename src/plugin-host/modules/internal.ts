/**
 * What a child needs to run one module. It imports this instead of the public file, which would load everything that finds, reloads and
 * configures modules: that takes longer than the rest of its start.
 */
export { noSatellitesProblem } from './inputs.ts';
export { importModule, pickSatellites } from './load.ts';
export type { LoadedModule, SatelliteInstance } from './load.ts';
export { DeliveryContext } from './recipient.ts';
export type { ContextStamp } from './recipient.ts';
export { Version, hasOwnMethod } from './version.ts';
export { Watchdog } from './watchdog.ts';
