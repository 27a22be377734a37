/**
 * Makes the calls between a program's handshake and its first work: they exchange versions, read its description, restore the state of the
 * previous process and pass its configuration.
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
  /** The argument of `plugin.setup`. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly relayVersion: string;
  /** Timeout for each answer, in ms. */
  readonly timeoutMs: number;
  /** Called with the answer to `plugin.push_version`, which may be anything; undefined if there is no such method. Default: ignored. */
  readonly onFirstAnswer?: ((answer: Value | undefined) => void) | undefined;
  /**
   * Called and awaited once the program has described itself. Resolves to the state to restore before `plugin.setup`; undefined for none.
   * Default: no state.
   */
  readonly inherit?: ((description: Prepared) => Promise<Sendable | undefined>) | undefined;
}

/** The description and version that a program reported. */
export interface Prepared extends Description {
  readonly version: string | undefined;
}

/** Rejects with a RelayError PLUGIN_REFUSED if the program can never work as it is, and with any other error if a restart may help. */
export async function prepare(parts: PreparationParts): Promise<Prepared> {
  const { plugin, relayVersion, config, inherit } = parts;
  const first = await ask(parts, 'plugin.push_version', [relayVersion]);
  parts.onFirstAnswer?.(first);
  const version = await ask(parts, 'plugin.get_version', []);
  const own = version === undefined ? undefined : readVersion(version);
  const unfit = own === undefined ? undefined : incompatibility(own, relayVersion);
  if (unfit !== undefined) throw new RelayError('PLUGIN_REFUSED', unfit);
  const answer = await ask(parts, 'plugin.describe', []);
  const description = answer === undefined ? UNDESCRIBED : readDescription(plugin, answer);
  const prepared = { ...description, version: own?.version };
  const state = await inherit?.(prepared);
  if (state !== undefined && description.capabilities.has('handover')) await ask(parts, 'plugin.restore', [state]);
  if ((await ask(parts, 'plugin.setup', [config as Sendable])) === false)
    throw new RelayError('PLUGIN_REFUSED', 'plugin.setup answered false: it refuses its configuration');
  return prepared;
}

const TRANSIENT: readonly string[] = ['TIMEOUT', 'TRANSPORT', 'UNAVAILABLE', 'RATE_LIMITED'];

/** Resolves to the answer; undefined if the program has no such method. */
async function ask(
  { plugin, transport, timeoutMs }: PreparationParts,
  method: string,
  params: readonly Sendable[],
): Promise<Value | undefined> {
  try {
    return await transport.send(requestOf(method, params), timeoutMs);
  } catch (error) {
    if (saysMissing(error, method)) return undefined;
    if (RelayError.is(error) && TRANSIENT.includes(error.code))
      throw new Error(`${method} failed: ${clean(reasonOf(error))}`, { cause: error });
    const said = Fault.is(error) ? `fault ${error.code}: ${clean(error.message)}` : clean(reasonOf(error));
    throw new RelayError('PLUGIN_REFUSED', `${method} failed: ${said.replace(`${plugin}: `, '')}`, { cause: error });
  }
}

// How XML-RPC servers report an unknown method, each with its own fault code: the standard ones of Python and Ruby, RPC::XML and
// xmlrpc-c.
const MISSING = /is not supported$|missing or wrong number of parameters|^Unknown method|not defined$/;

/** True if `error`, the answer to a call of `method`, says that the program has no such method. */
export function saysMissing(error: unknown, method: string): boolean {
  if (RelayError.is(error)) return error.code === 'NO_SUCH_METHOD';
  return Fault.is(error) && error.message.includes(method) && MISSING.test(error.message);
}
