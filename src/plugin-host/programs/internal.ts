/** Exports what `check-plugin` needs to run a program step by step in the same kind of session as the host. */
export { incompatibility, VALUE_TYPES } from '../hosted/hosted.ts';
export { readDescription, readVersion } from './description.ts';
export type { Description } from './description.ts';
export type { Handshake } from './handshake.ts';
export { ItemStreams } from './item-streams.ts';
export { notificationOf } from './notification.ts';
export { completeRecord, programShape } from './options.ts';
export type { ProgramOptions, ProgramRecord } from './options.ts';
export { OrphanWatch } from './orphan-watch.ts';
export type { PollTransport } from './poll-transport.ts';
export { Session } from './session.ts';
export { saysMissing } from './preparation.ts';
export type { ProcessEnd } from './process.ts';
export { findExecutable } from './surroundings.ts';
export { requestOf } from './transport.ts';
export type { ProgramRequest } from './transport.ts';
