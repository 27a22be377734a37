/** What is said of a plugin that is not there. */
import { RelayError, clean, suggest } from '../message/message.ts';

/** A RelayError INVALID_PARAMS that says so, with the name among `known` that may be meant. */
export function noSuchPlugin(name: string, known: readonly string[]): RelayError {
  return new RelayError('INVALID_PARAMS', `there is no plugin '${clean(name, 60)}'${suggest(name, known)}`);
}
