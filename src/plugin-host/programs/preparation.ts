/**
 * What is said between a program's first line and its first work: versions, what it can do, what the process before it knew, its
 * configuration.
 */
import { Fault, RelayError, clean, reasonOf } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { incompatibility } from '../hosted/hosted.ts';
import { UNDESCRIBED, readDescription, readVersion } from './description.ts';
import type { Description } from './description.ts';
import { requestOf } from './transport.ts';
import type { ProgramTransport } from './transport.ts';

export interface PreparationParts {
  readonly plugin: string;
  readonly transport: ProgramTransport;
  /** What `plugin.setup` gets. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly relayVersion: string;
  /** ms for each answer. */
  readonly timeoutMs: number;
  /** Told what it answers first, to `plugin.push_version`, which may be anything; undefined if it has no such method. Default: nobody. */
  readonly onFirstAnswer?: ((answer: Value | undefined) => void) | undefined;
  /**
   * Called when it has said what it is, and waited for; resolves to the state that it is to restore before its setup, undefined for none.
   * Default: none.
   */
  readonly inherit?: ((description: Prepared) => Promise<Sendable | undefined>) | undefined;
}

/** What a program said of itself. */
export interface Prepared extends Description {
  readonly version: string | undefined;
}

/** Rejects with a RelayError PLUGIN_REFUSED if the program cannot work as it is, with another error if a new start may help. */
export async function prepare(parts: PreparationParts): Promise<Prepared> {
  const { plugin, relayVersion, config, inherit } = parts;
  const first = await ask(parts, 'plugin.push_version', [relayVersion]);
  parts.onFirstAnswer?.(first);
  const version = await ask(parts, 'plugin.get_version', []);
  const own = version === undefined ? undefined : believed(() => readVersion(version));
  const unfit = own === undefined ? undefined : incompatibility(own, relayVersion);
  if (unfit !== undefined) throw new RelayError('PLUGIN_REFUSED', unfit);
  const answer = await ask(parts, 'plugin.describe', []);
  const description = answer === undefined ? UNDESCRIBED : believed(() => readDescription(plugin, answer));
  const prepared = { ...description, version: own?.version };
  const state = await inherit?.(prepared);
  if (state !== undefined && description.capabilities.has('handover')) await ask(parts, 'plugin.restore', [state]);
  if ((await ask(parts, 'plugin.setup', [config as Sendable])) === false)
    throw new RelayError('PLUGIN_REFUSED', 'plugin.setup answered false: it refuses its configuration');
  return prepared;
}

const PASSING: readonly string[] = ['TIMEOUT', 'TRANSPORT', 'UNAVAILABLE', 'RATE_LIMITED'];

/** The answer; undefined if the program has no such method. */
async function ask(
  { plugin, transport, timeoutMs }: PreparationParts,
  method: string,
  params: readonly Sendable[],
): Promise<Value | undefined> {
  try {
    return await transport.send(requestOf(method, params), timeoutMs);
  } catch (error) {
    if (saysMissing(error, method)) return undefined;
    if (RelayError.is(error) && PASSING.includes(error.code))
      throw new Error(`${method} failed: ${clean(reasonOf(error))}`, { cause: error });
    const said = Fault.is(error) ? `fault ${error.code}: ${clean(error.message)}` : clean(reasonOf(error));
    throw new RelayError('PLUGIN_REFUSED', `${method} failed: ${said.replace(`${plugin}: `, '')}`, { cause: error });
  }
}

// How servers of other languages say that they have no such method, each under a fault number of its own: Python's and Ruby's standard
// ones, RPC::XML, xmlrpc-c.
const MISSING = /is not supported$|missing or wrong number of parameters|^Unknown method|not defined$/;

/** True if `error`, the answer to a call of `method`, says that the program has none of this name. */
export function saysMissing(error: unknown, method: string): boolean {
  if (RelayError.is(error)) return error.code === 'NO_SUCH_METHOD';
  return Fault.is(error) && error.message.includes(method) && MISSING.test(error.message);
}

function believed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new RelayError('PLUGIN_REFUSED', reasonOf(error), { cause: error });
  }
}
