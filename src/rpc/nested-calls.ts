/** Calls inside a call: `system.multicall` and co2's `method_call`. Each inner call is charged, authorized and answered by itself. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Attempt, dictOf, isDict } from '../values/values.ts';
import { Accepted, ERRORS, RelayError, isPromise, resultOf } from '../core/core.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { FaultAnswer, MaybePromise } from '../core/core.ts';
import { cleanUnsendable } from '../xmlrpc/xmlrpc.ts';
import type { Caller } from './caller.ts';
import type { MethodRegistry } from './method-registry.ts';
import { oneStruct } from './method-registry.ts';

// Dicts in one batch of a peer's link (MAX_BATCH of links). Peers are configured, and a body of them is bounded by its bytes.
const PEER_MULTICALL = 1_000;
// The calls of one request run in a row; other requests are served in between.
const TURN_MS = 5;
const LATER: ReadonlySet<unknown> = new Set(
  [ERRORS.RATE_LIMITED, ERRORS.UNAVAILABLE, ERRORS.TIMEOUT, ERRORS.STATE_DIRECTORY].map(({ fault }) => fault),
);

/** Runs an inner call like an outer one. */
interface NestedCalls {
  /** Without a promise if the method returns none. */
  callNestedAtOnce(name: string, params: readonly Value[], caller: Caller): MaybePromise<Sendable | Accepted<Sendable>>;
  faultFor(error: unknown, name: string): FaultAnswer;
}

/** Registers both. */
export function addNestedCalls(registry: MethodRegistry, calls: NestedCalls, maxMulticall: () => number): void {
  registry.add({
    name: 'system.multicall',
    access: 'read',
    help: 'Makes several calls: takes a list of {methodName, params} and answers a list of the same length, each a list with the one result, or a fault struct.',
    signatures: [['array', 'array']],
    paramNames: ['calls'],
    invoke: (params, caller) => {
      const max = caller.isPeer ? Math.max(PEER_MULTICALL, maxMulticall()) : maxMulticall();
      return multicall(calls, params, caller, max);
    },
  });
  registry.add(
    {
      name: 'method_call',
      access: 'read',
      help: 'Calls the method that the member method_name names, with the same struct as its parameter.',
      signatures: [['any', 'struct']],
      paramNames: ['call'],
      invoke: (params, caller) => methodCall(calls, oneStruct('method_call', params), caller),
    },
    ['web.method_call'],
  );
}

async function methodCall(calls: NestedCalls, dict: Dict, caller: Caller): Promise<Sendable> {
  const name = dict.method_name;
  if (typeof name !== 'string') throw new RelayError('INVALID_PARAMS', 'method_call needs a member method_name, a string');
  return resultOf(await calls.callNestedAtOnce(name, [dict], caller));
}

async function multicall(calls: NestedCalls, params: readonly Value[], caller: Caller, max: number): Promise<Sendable> {
  const [list] = params;
  if (params.length !== 1 || !Array.isArray(list))
    throw new RelayError('INVALID_PARAMS', 'system.multicall takes one array of {methodName, params}');
  requireCount('system.multicall', list.length, max);
  const results: Sendable[] = [];
  const waiting: Promise<unknown>[] = [];
  let later: Dict | undefined;
  const note = (result: Sendable): void => {
    if (isLater(result)) later ??= result;
  };
  let turnEndsAt = performance.now() + TURN_MS;
  for (const element of list as readonly Value[]) {
    if (performance.now() > turnEndsAt) {
      await nextTurn();
      turnEndsAt = performance.now() + TURN_MS;
    }
    // A peer sends a temporarily refused dict again. Accepting the dicts after it now would change their order.
    const isDictOfPeer = caller.isPeer && isDict(element) && element.methodName === 'notify';
    if (!isDictOfPeer && waiting.length > 0) await Promise.all(waiting.splice(0));
    const pending = (isDictOfPeer ? later : undefined) ?? oneOf(calls, element, caller);
    // Most calls of a large batch are dicts, which are accepted at once.
    const answer = isPromise(pending) ? await pending : pending;
    if (isDictOfPeer && answer instanceof Accepted) {
      // One write to the disk stores all that are accepted meanwhile.
      const index = results.push(true) - 1;
      waiting.push(answer.result.then((result) => note((results[index] = result))));
      continue;
    }
    const result = answer instanceof Accepted ? await answer.result : answer;
    if (isDictOfPeer) note(result);
    results.push(result);
  }
  await Promise.all(waiting);
  return results;
}

/** The result of one call, or its fault; never throws, and never rejects. */
function oneOf(calls: NestedCalls, element: Value, caller: Caller): MaybePromise<Sendable | Accepted<Sendable>> {
  let name = 'system.multicall';
  const faultOf = (error: unknown): Dict => faultStruct(calls, error, name);
  // A result that cannot be written fails its own element, not all of them.
  const attemptOf = (result: Sendable): Sendable => new Attempt([result], faultOf);
  const answerOf = (result: Sendable | Accepted<Sendable>): Sendable | Accepted<Sendable> =>
    result instanceof Accepted ? new Accepted(result.result.then(attemptOf, faultOf)) : attemptOf(result);
  try {
    const inner = innerCall(element);
    name = inner.name;
    const result = calls.callNestedAtOnce(name, inner.params, caller);
    return isPromise(result) ? result.then(answerOf, faultOf) : answerOf(result);
  } catch (error) {
    return faultOf(error);
  }
}

/** True for a fault after which the same call may succeed. */
function isLater(result: Sendable): result is Dict {
  return isDict(result) && LATER.has(result.faultCode);
}

function faultStruct(calls: NestedCalls, error: unknown, name: string): Dict {
  const { code, text } = calls.faultFor(error, name);
  return dictOf([
    ['faultCode', code],
    ['faultString', cleanUnsendable(text)],
  ]);
}

function innerCall(element: Value): { name: string; params: readonly Value[] } {
  if (!isDict(element)) throw new RelayError('INVALID_PARAMS', 'an element of system.multicall must be a struct {methodName, params}');
  const { methodName, params } = element;
  if (typeof methodName !== 'string') throw new RelayError('INVALID_PARAMS', 'an element of system.multicall needs a methodName, a string');
  if (!Array.isArray(params)) throw new RelayError('INVALID_PARAMS', 'an element of system.multicall needs params, an array');
  return { name: methodName, params: params as readonly Value[] };
}

const NESTING: ReadonlySet<string> = new Set(['system.multicall', 'method_call', 'web.method_call', 'relay.call', 'plugin.next']);

/** Throws a RelayError LIMIT if `what` holds more than `max` calls. */
export function requireCount(what: string, count: number, max: number): void {
  if (count > max) throw new RelayError('LIMIT', `${what} with ${count} calls: at most ${max} are allowed (maxMulticall)`);
}

/** Throws a RelayError INVALID_PARAMS for a method that makes calls itself: calls inside calls do not nest. */
export function refuseNesting(name: string): void {
  if (NESTING.has(name)) throw new RelayError('INVALID_PARAMS', `${name} cannot be called inside another call`);
}
