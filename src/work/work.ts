/** Work units: pieces of work that clients submit, that plugins and programs do, and whose results are kept until they are released. */
export { WorkBodies } from './bodies.ts';
export { pluginExecutor } from './executor.ts';
export type { Executor } from './executor.ts';
export { addWorkMethods, workOnWire } from './methods.ts';
export { workDefaults, workShape } from './options.ts';
export type { WorkLimits, WorkOptions } from './options.ts';
export { checkWorkPrograms } from './program-work.ts';
export type { Unit } from './unit.ts';
export { Work } from './work-units.ts';
export type { Submission } from './work-units.ts';
