/** What the `co2` command reads of a state directory: without the schema of its option, so that importing it is quick. */
export { askLock } from './directory-lock.ts';
export type { Listening, LockHolder } from './directory-lock.ts';
