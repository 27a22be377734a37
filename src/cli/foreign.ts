/** The questions that every XML-RPC server answers in some way: what a method is, whether the server is there, how it is. Pure but for the calls. */
import { RelayError, clean } from '../core/core.ts';
import { dictOf } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { readDocumentation } from './documentation.ts';
import { attempt, methodHelp, methodNames, methodSignatures } from './introspection.ts';
import type { RemoteSignature } from './introspection.ts';
import type { Call } from './target.ts';

/** How a method is called, and its documentation. */
export interface MethodAccount {
  /** A line for each way to call it. */
  readonly usage: string;
  /** As the server sent it; `''` for none. */
  readonly help: string;
  /** What people are to know besides. */
  readonly note?: string;
}

/** Which method gave a sign of life, and what `ping` answered: a value, or a fault if the server knows no other that was tried. */
export interface SignOfLife {
  readonly method: string;
  readonly value?: Value;
  /** `code` is the text that a server sent where others send a number. */
  readonly fault?: { readonly code: number | string; readonly text: string };
}

const NAME_LISTS = ['system.listMethods', 'co2.get_method_names'] as const;
// The first that a server lists is shown: of a relay, an old co2 server, supervisord, aria2, and others.
const STATUS = ['system.get_properties', 'supervisor.getState', 'aria2.getGlobalStat', 'system.getCapabilities'] as const;

/** Rejects with the server's fault, or with a RelayError NO_SUCH_METHOD, if it has no such method. */
export async function describeMethod(call: Call, method: string): Promise<MethodAccount> {
  const signatures = await methodSignatures(call, method, 'system');
  const help = await attempt(() => call('system.methodHelp', method));
  if (signatures !== undefined || typeof help.value === 'string') return account(method, signatures, help.value);
  const [usage, text] = [await methodSignatures(call, method, 'co2'), await methodHelp(call, method, 'co2')];
  if (usage !== undefined || text !== undefined) return account(method, usage, text);
  const known = await attempt(() => methodNames(call));
  if (known.value?.names.includes(method) === true)
    return { ...account(method, [], ''), note: `the server has ${method}, but no documentation of its methods` };
  // A fault that says the name is about the method, another one about system.methodHelp.
  if (help.fault && (!known.value || help.fault.text.includes(method))) throw help.fault;
  throw new RelayError('NO_SUCH_METHOD', `the server has no method '${clean(method, 100)}'; co2 methods lists those that it has`);
}

/** Asks in ever simpler ways. Any answer of XML-RPC is a sign of life. */
export async function signOfLife(call: Call): Promise<SignOfLife> {
  const ping = await attempt(() => call('ping'));
  if (!ping.fault) return { method: 'ping', value: ping.value };
  for (const method of NAME_LISTS) {
    const { fault } = await attempt(() => call(method));
    if (!fault) return { method };
  }
  const { code, faultCode, text } = ping.fault;
  return { method: 'ping', fault: { code: typeof faultCode === 'string' ? faultCode : code, text } };
}

/** What a server without relay.get_status says of itself, and by which method; rejects with its fault if it says nothing. */
export async function statusOf(call: Call): Promise<{ readonly method: string; readonly value: Value }> {
  const own = await attempt(() => call('relay.get_status'));
  if (!own.fault) return { method: 'relay.get_status', value: own.value };
  const known = await attempt(() => methodNames(call));
  if (!known.value) throw own.fault;
  const { names, family } = known.value;
  for (const method of STATUS) {
    if (!names.includes(method)) continue;
    const { value, fault } = await attempt(() => call(method));
    if (!fault) return { method, value };
  }
  return { method: family === 'system' ? 'system.listMethods' : 'co2.get_method_names', value: dictOf([['methods', names.length]]) };
}

function account(method: string, signatures: readonly RemoteSignature[] | string | undefined, help: Value | undefined): MethodAccount {
  const text = typeof help === 'string' ? help : '';
  if (typeof signatures === 'string') return { usage: signatures, help: text };
  const { params: documented } = readDocumentation(text);
  const ways = (signatures ?? []).map(({ returns, params }) => {
    const named = documented.length === params.length ? params.map((type, index) => `${type} ${documented[index]?.name ?? ''}`) : params;
    return `${returns} ${method}(${named.join(', ')})`;
  });
  return { usage: ways.length === 0 ? `${method}(...)` : ways.join('\n'), help: text };
}

/** For people: the text without the indentation of its source, the parameters below each other. */
export function helpText({ usage, help, note }: MethodAccount): string {
  const { text, params, returns } = readDocumentation(help);
  const rows = [...params.map(({ name, text: said }) => [name, said] as const), ...(returns === '' ? [] : [['returns', returns] as const])];
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  const table = rows.map(([name, said]) => `  ${name.padEnd(width)}  ${said}`.trimEnd()).join('\n');
  return [usage, text, table, note].filter(Boolean).join('\n\n');
}
