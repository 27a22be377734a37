/** Lets the callers of a method name another node of the mesh, which is then called instead. */
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { Caller } from './caller.ts';
import type { CallToNode, Dispatcher } from './dispatcher.ts';
import type { Method } from './method-registry.ts';
import { wrongParams } from './params.ts';

// Beyond the time that the call waits at the other node.
const GRACE_MS = 30_000;
const MAX_WAIT_MS = 60_000;

/**
 * The method with the further member `node` in the struct that is its parameter number `index`: the id or nick of a node, which is called
 * with the rights of the caller, and whose result or error is returned. Default 0.
 */
export function atNodes(method: Method, dispatcher: Pick<Dispatcher, 'callNode'>, index = 0): Method {
  const { name, help, invoke } = method;
  return {
    ...method,
    help: `${help} With the member node, the id or nick of a node, that node is asked.`,
    invoke: (params, caller) => {
      const call = callIn(name, params, index, caller);
      return call ? dispatcher.callNode(call, caller) : invoke(params, caller);
    },
  };
}

function callIn(method: string, params: readonly Value[], index: number, caller: Caller): CallToNode | undefined {
  const struct = params[index];
  if (!isDict(struct) || struct.node === undefined) return undefined;
  const { node, waitMs } = struct;
  if (typeof node !== 'string') throw wrongParams('node must be the id or nick of a node');
  // With the types that the numbers had in the call.
  const exact = (caller.exactOf(params) as readonly Sendable[] | undefined) ?? params;
  const { node: _node, ...rest } = exact[index] as Dict;
  const timeoutMs = GRACE_MS + (typeof waitMs === 'number' ? Math.min(Math.max(0, Math.floor(waitMs)), MAX_WAIT_MS) : MAX_WAIT_MS);
  return { node, method, params: exact.map((param, at) => (at === index ? rest : param)), timeoutMs };
}
