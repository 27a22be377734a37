/** The errors with which a plugin is refused: they end a start, and leave what runs as it is. */
import { RelayError, clean } from '../message/message.ts';

/** Why the plugin of this name does not run. */
export function refusal(name: string, reason: string, cause?: unknown): RelayError {
  return new RelayError('PLUGIN_REFUSED', `plugin ${clean(name)}: ${reason}`, { cause });
}

/** Why a version that does not hand over its state is not replaced. */
export function notHandedOver(name: string, reason: string, cause: unknown): RelayError {
  return refusal(name, `the running version does not hand over: ${reason}; a restart of the plugin drops its state`, cause);
}
