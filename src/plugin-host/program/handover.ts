/** What the process of a program that runs hands over to the one that takes its place. */
import { RelayError, clean, reasonOf } from '../../message/message.ts';
import { unlessAborted } from '../step.ts';
import { notHandedOver } from '../refusal.ts';
import { saysMissing } from './preparation.ts';
import type { ProgramLife } from './program-life.ts';
import type { State } from './successor.ts';
import { requestOf } from './transport.ts';

/** Its state; undefined if it has none to hand over. Throws a RelayError PLUGIN_REFUSED. */
export async function handOver(name: string, old: ProgramLife, timeoutMs: number, signal: AbortSignal): Promise<State> {
  // One that has just ended took its state with it.
  if (old.state.kind !== 'up' || old.prepared?.capabilities.has('handover') !== true) return undefined;
  const ask = (): Promise<State> => old.sendExact(requestOf('plugin.handover', []), timeoutMs);
  try {
    return await unlessAborted(signal, ask);
  } catch (error) {
    const { code } = RelayError.is(error) ? error : { code: '' };
    if (code === 'TRANSPORT' || saysMissing(error, 'plugin.handover')) return undefined;
    // A module in a child says it in these words itself.
    throw code === 'PLUGIN_REFUSED' || signal.aborted ? error : notHandedOver(name, clean(reasonOf(error), 500), error);
  }
}
