/** What `check-plugin` needs of this folder: it runs a program by the very pieces by which the host does, one at a time, and looks at each. */
export { whyUnfit, VALUE_TYPES, describeType } from '../hosted/hosted.ts';
export { readDescription, readVersion } from './description.ts';
export type { Description } from './description.ts';
export { readHandshake } from './handshake.ts';
export type { Handshake } from './handshake.ts';
export { HttpTransport } from './http-transport.ts';
export { notificationOf } from './program-line.ts';
export { completeRecord, programShape } from './options.ts';
export type { ProgramOptions, ProgramRecord } from './options.ts';
export { OrphanWatch } from './orphan-watch.ts';
export { PollTransport } from './poll-transport.ts';
export { prepare, saysMissing } from './preparation.ts';
export { ProgramProcess } from './process.ts';
export type { ProcessEnd } from './process.ts';
export { environmentOf, findExecutable, makeToken, prepareDirectory } from './surroundings.ts';
export { requestOf } from './transport.ts';
export type { ProgramRequest, ProgramTransport } from './transport.ts';
