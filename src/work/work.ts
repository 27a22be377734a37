/** Work units: pieces of work that clients submit, that plugins and programs do, and whose results are kept until they are released. */
export { WorkBodies } from './bodies.ts';
export { pluginExecutor } from './executor.ts';
export type { Executor } from './executor.ts';
export { addWorkMethods } from './methods.ts';
export type { WorkNetwork } from './network.ts';
export { workDefaults, workShape } from './options.ts';
export type { WorkLimits, WorkOptions } from './options.ts';
export { checkWorkPrograms } from './program-work.ts';
export { ReceivedUnits } from './received-units.ts';
export type { Unit } from './unit.ts';
export { workOnWire } from './unit-wire.ts';
export { Work } from './work-units.ts';
export type { Submission } from './submission.ts';
