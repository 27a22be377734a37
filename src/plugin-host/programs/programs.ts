/** Runs plugins that are processes: their protocol, processes, supervision and message delivery. */
export { OrphanWatch } from './orphan-watch.ts';
export { checkPrograms, findExecutable } from './surroundings.ts';
export type { DeadLetter, DeadLetters } from './dead-letters.ts';
export { HostPrograms } from './host-programs.ts';
export type { ProgramRecord, ProgramsOptions } from './options.ts';
export type { ProgramAnswer, ProgramCall } from './poll-transport.ts';
export type { Explained, Program } from './program.ts';
export { Programs } from './program-set.ts';
export type { PluginToken, ProgramSurroundings } from './program-set.ts';
export type { ItemBatch } from './item-streams.ts';
export { programsDefaults, programsShape } from './options.ts';
