/** The methods of every co2 server: ping, test, system.get_properties and notify. */
import { Accepted, RelayError, andThen } from '../../core/core.ts';
import { oneStruct } from '../../rpc/rpc.ts';
import type { MethodRegistry } from '../../rpc/rpc.ts';
import { dictOf } from '../../values/values.ts';
import type { Value } from '../../values/values.ts';
import type { Router } from '../router.ts';
import type { Properties } from './properties.ts';

/** Registers the methods. */
export function addBasicMethods(registry: MethodRegistry, router: Pick<Router, 'acceptInOrder'>, properties: () => Properties): void {
  registry.add(
    {
      name: 'ping',
      access: 'read',
      help: 'Returns true: this server is alive.',
      signatures: [['boolean'], ['boolean', 'struct']],
      invoke: () => true,
    },
    ['web.ping'],
  );
  registry.add(
    {
      name: 'test',
      access: 'read',
      help: 'Returns its parameter (an empty struct if there is none), to show what arrives here.',
      signatures: [['any', 'any']],
      paramNames: ['value'],
      invoke: (params) => onlyOne(params),
    },
    ['web.test'],
  );
  registry.add({
    name: 'system.get_properties',
    access: 'read',
    help: 'Describes this server: host_id, versions, host, start and server time, uptime (s), maintainer, loaded plugins.',
    signatures: [['struct'], ['struct', 'struct']],
    invoke: properties,
  });
  registry.add({
    name: 'notify',
    access: 'message',
    isOfConnection: true,
    help: 'Submits a dict {"data": anything, ...} to all satellites and all peers. Returns true once the relay has accepted it.',
    signatures: [['boolean', 'struct']],
    paramNames: ['dict'],
    invoke: (params, caller) =>
      andThen(router.acceptInOrder(oneStruct('notify', params), caller), (id) =>
        id instanceof Accepted ? new Accepted(id.result.then(() => true)) : true,
      ),
  });
}

function onlyOne(params: readonly Value[]): Value {
  const [value = dictOf()] = params;
  if (params.length <= 1) return value;
  throw new RelayError('INVALID_PARAMS', 'test takes one parameter');
}
