/**
 * What a server says of its methods, by the names that XML-RPC servers have for it (`system.listMethods` and its like), or by those of co2: a relay has
 * both, a supervisord the former, an old co2 server the latter, others a part of them.
 */
import { RelayError } from '../core/core.ts';
import type { Value } from '../values/values.ts';
import { RemoteFault } from '../client/internal.ts';
import type { Call } from './target.ts';

/** One way in which a method may be called; the types by their XML-RPC names, as the server says them. */
export interface RemoteSignature {
  readonly returns: string;
  readonly params: readonly string[];
}

/** The names of all methods, and whether the server knows the `system.` names. */
export interface MethodNames {
  readonly names: readonly string[];
  readonly family: 'system' | 'co2';
}

// Faults that say "not you" or "not now": asking in another way would be refused again.
const FINAL_FAULTS: ReadonlySet<number> = new Set([401, 403, 413, 429, 503, 504]);

/** A value or a fault. */
type Attempted<T> = { readonly value: T; readonly fault?: undefined } | { readonly value?: undefined; readonly fault: RemoteFault };

/** What `ask` answers, or the fault by which the server says that it knows no such thing. Rejects with everything else. */
export async function attempt<T>(ask: () => Promise<T>): Promise<Attempted<T>> {
  try {
    return { value: await ask() };
  } catch (error) {
    if (RemoteFault.is(error) && !FINAL_FAULTS.has(error.code)) return { fault: error };
    throw error;
  }
}

/** Rejects with the fault to `system.listMethods` if no other name helps, or with a RelayError TRANSPORT for an answer that is no list. */
export async function methodNames(call: Call): Promise<MethodNames> {
  const listed = await attempt(() => call('system.listMethods'));
  if (!listed.fault) return { names: textsIn('system.listMethods', listed.value), family: 'system' };
  const named = await attempt(() => call('co2.get_method_names'));
  if (named.fault) throw listed.fault;
  return { names: textsIn('co2.get_method_names', named.value), family: 'co2' };
}

/** The documentation of a method, `''` for none; undefined if the server does not say. */
export async function methodHelp(call: Call, method: string, family: MethodNames['family']): Promise<string | undefined> {
  const answer = await attempt(() => call(family === 'system' ? 'system.methodHelp' : 'co2.get_method_help', method));
  return typeof answer.value === 'string' ? answer.value : undefined;
}

/** The ways to call a method, none where the types are not known, or a text that says how; undefined if the server does not say. */
export async function methodSignatures(
  call: Call,
  method: string,
  family: MethodNames['family'],
): Promise<readonly RemoteSignature[] | string | undefined> {
  const answer = await attempt(() => call(family === 'system' ? 'system.methodSignature' : 'co2.get_method_signature', method));
  if (answer.fault) return undefined;
  // Without signatures the answer is a text, `undef` as a rule.
  if (typeof answer.value === 'string') return family === 'system' ? [] : answer.value;
  return signaturesIn(answer.value);
}

/** A list of signatures, or one signature as a flat list, as supervisord has it. */
function signaturesIn(value: Value): readonly RemoteSignature[] {
  const list = listOf(value);
  const ways = list.length > 0 && list.every((one) => typeof one === 'string') ? [list] : list.map(listOf);
  return ways.flatMap((types) => {
    const [returns, ...params] = types.filter((type) => typeof type === 'string');
    return returns === undefined || params.length !== types.length - 1 ? [] : [{ returns, params }];
  });
}

export function listOf(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}

function textsIn(method: string, value: Value): readonly string[] {
  if (!Array.isArray(value)) throw new RelayError('TRANSPORT', `the server answered ${method} with something other than a list`);
  return listOf(value).filter((name) => typeof name === 'string');
}
