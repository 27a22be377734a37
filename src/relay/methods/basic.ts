/** The methods that every co2 server has: ping, test, properties, and the doors for dicts. */
import { RelayError, andThen } from '../../core/core.ts';
import { dictOf } from '../../values/values.ts';
import type { Dict, Sendable, Value } from '../../values/values.ts';
import type { MaybePromise } from '../../core/core.ts';
import type { Caller } from '../caller.ts';
import { oneStruct } from '../intake.ts';
import type { MethodRegistry } from '../method-registry.ts';

export interface BasicMethods {
  readonly properties: () => Sendable;
  readonly accept: (dict: Dict, caller: Caller) => MaybePromise<unknown>;
}

/** Registers them. */
export function addBasicMethods(registry: MethodRegistry, { properties, accept }: BasicMethods): void {
  registry.add(
    {
      name: 'ping',
      access: 'read',
      help: 'Answers true: this server is alive.',
      signatures: [['boolean'], ['boolean', 'struct']],
      invoke: () => true,
    },
    ['web.ping'],
  );
  registry.add(
    {
      name: 'test',
      access: 'read',
      help: 'Answers its parameter (an empty struct if there is none), to see what arrives here.',
      signatures: [['any', 'any']],
      invoke: (params) => onlyOne(params),
    },
    ['web.test'],
  );
  registry.add({
    name: 'system.get_properties',
    access: 'read',
    help: 'Answers what this server is: host_id, versions, host, start and server time, uptime (s), maintainer, loaded plugins.',
    signatures: [['struct'], ['struct', 'struct']],
    invoke: properties,
  });
  registry.add({
    name: 'notify',
    access: 'message',
    help: 'Hands in a dict {"data": anything, ...}: all satellites and all peers get it. Answers true once the relay has accepted it.',
    signatures: [['boolean', 'struct']],
    invoke: (params, caller) => andThen(accept(oneStruct('notify', params), caller), () => true),
  });
}

function onlyOne(params: readonly Value[]): Value {
  const [value = dictOf()] = params;
  if (params.length <= 1) return value;
  throw new RelayError('INVALID_PARAMS', 'test takes one parameter');
}
