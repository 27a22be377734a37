/** The methods by which remote satellites register, submit dicts, unregister, and are listed. */
import { Double, isDict } from '../../values/values.ts';
import { RelayError, andThen } from '../../core/core.ts';
import type { Dict, Sendable, Value } from '../../values/values.ts';
import type { Credential, Registered, Satellites, SatelliteView, Sender } from '../../satellites/satellites.ts';
import type { RejectionLog } from '../rejection-log.ts';
import type { Router } from '../router.ts';
import type { Caller, MethodRegistry } from '../../rpc/rpc.ts';
import { oneStruct } from '../../rpc/rpc.ts';

export interface SatelliteMethods {
  readonly satellites: Pick<Satellites, 'register' | 'unregister' | 'requireOwner' | 'byToken' | 'byHostId' | 'byPlace' | 'list'>;
  readonly router: Pick<Router, 'accept' | 'checkedHostId' | 'sendAsWritten'>;
  readonly rejections: Pick<RejectionLog, 'wrongToken'>;
}

/** Registers them. */
export function addSatelliteMethods(registry: MethodRegistry, methods: SatelliteMethods): void {
  const { satellites, router } = methods;
  registry.add({
    name: 'relay.register',
    access: 'message',
    help: "Registers the XML-RPC server at the caller's address and the member port (path, nick and host_id if need be) as a satellite: it gets notify(dict) from now on. Answers its record and a token.",
    signatures: [['struct', 'struct']],
    invoke: async (params, caller) => {
      const props = oneStruct('relay.register', params);
      requireDirect('relay.register', caller);
      return registeredOnWire(
        await satellites.register(props, {
          address: caller.address,
          hostId: router.checkedHostId(props, caller),
          token: credentialOf(caller),
        }),
      );
    },
  });
  registry.add({
    name: 'relay.unregister',
    access: 'message',
    help: 'Ends the registration that the member token names, or port or host_id of the caller; one that was made with an access token by that or by the member token alone. Answers true.',
    signatures: [['boolean', 'struct']],
    invoke: async (params, caller) => {
      requireDirect('relay.unregister', caller);
      await satellites.unregister(leaving(oneStruct('relay.unregister', params), caller, methods));
      return true;
    },
  });
  registry.add({
    name: 'relay.relay',
    access: 'message',
    help: 'Hands in a dict as a satellite does: all other satellites and all peers get it. The sender is named by co2: {token}, or by host_id. Answers true once the relay has accepted it; a plugin that adds a struct of options gets the id of the message.',
    signatures: [
      ['boolean', 'struct'],
      ['string', 'struct', 'struct'],
    ],
    invoke: (params, caller) => {
      if (caller.role.kind === 'plugin') return sendAs(caller.role.name, params, caller, methods);
      const dict = oneStruct('relay.relay', params);
      return andThen(router.accept(dict, caller, senderOf(dict, caller, methods)), () => true);
    },
  });
  addLists(registry, satellites);
}

function addLists(registry: MethodRegistry, satellites: Pick<Satellites, 'list'>): void {
  registry.add(
    {
      name: 'relay.get_satellites',
      access: 'read',
      help: 'Answers the records of all satellites that registered: addr [ip, port], host_id, nick, ctime, path, and how they answer pings (ms, -1 if never; ping_fails: failures in a row).',
      signatures: [['array'], ['array', 'struct']],
      invoke: () => satellites.list().map(recordOnWire),
    },
    ['co2.get_satellites', 'web.get_satellites'],
  );
  registry.add(
    {
      name: 'relay.get_num_satellites',
      access: 'read',
      help: 'Answers how many satellites are registered.',
      signatures: [['int'], ['int', 'struct']],
      invoke: () => satellites.list().length,
    },
    ['co2.get_num_satellites', 'web.get_num_satellites'],
  );
}

/** Sends the dict of a plugin as its `send` does: under our host_id, and not back to it. */
async function sendAs(plugin: string, params: readonly Value[], caller: Caller, { router }: SatelliteMethods): Promise<Sendable> {
  const [dict, options] = params;
  if (params.length > 2 || !isDict(dict) || (options !== undefined && !isDict(options)))
    throw new RelayError('INVALID_PARAMS', 'relay.relay takes a dict, and of a plugin a struct of options');
  const id = await router.sendAsWritten(plugin, dict, caller);
  return options === undefined || id;
}

/** A caller behind a proxy would register whatever else runs on this machine, and we would connect to that. */
function requireDirect(method: string, { isDirect }: Caller): void {
  if (!isDirect)
    throw new RelayError('FORBIDDEN', `${method} came through a proxy that is not in trustedProxies, so nobody knows from where`);
}

function credentialOf({ role }: Caller): Credential | undefined {
  return role.kind === 'token' ? { name: role.name, id: role.id } : undefined;
}

/** The record of a satellite on the wire. */
export function recordOnWire({ address, port, path, hostId, nick, ctime, pings }: SatelliteView): Readonly<Record<string, Sendable>> {
  return {
    addr: [address, port],
    host_id: hostId,
    nick,
    ctime,
    path,
    // Always doubles, so that a typed client finds one type.
    ping_current: new Double(pings.current),
    ping_count: pings.count,
    ping_min: new Double(pings.min),
    ping_max: new Double(pings.max),
    ping_avg: new Double(pings.avg),
    ping_fails: pings.fails,
  };
}

function registeredOnWire({ token, ...view }: Registered): Sendable {
  return { ...recordOnWire(view), token };
}

/** True if the dict's `co2` is not a relay's stamp but a satellite's `{token}`. */
export function namesToken({ co2 }: Dict): boolean {
  return isDict(co2) && Object.hasOwn(co2, 'token');
}

function senderOf(dict: Dict, caller: Caller, methods: SatelliteMethods): Sender | undefined {
  if (namesToken(dict)) return byToken((dict.co2 as Dict).token, caller, methods);
  // A dict from a peer is not a satellite's, even if one shares its address.
  if (caller.isPeer && dict.co2 !== undefined) return undefined;
  return typeof dict.host_id === 'string' && caller.isDirect ? methods.satellites.byHostId(dict.host_id, caller.address) : undefined;
}

function leaving(props: Dict, caller: Caller, methods: SatelliteMethods): Sender {
  if (namesToken(props)) return byToken((props.co2 as Dict).token, caller, methods);
  if (props.token !== undefined) return byToken(props.token, caller, methods);
  const { satellites } = methods;
  const { host_id: hostId, port } = props;
  const found =
    typeof port === 'number'
      ? satellites.byPlace(caller.address, port)
      : satellites.byHostId(methods.router.checkedHostId(props, caller) ?? '', caller.address);
  if (found) {
    satellites.requireOwner(found, credentialOf(caller));
    return found;
  }
  if (hostId === undefined && port === undefined)
    throw new RelayError('INVALID_PARAMS', 'relay.unregister needs token, port or host_id, to know who leaves');
  throw new RelayError('INVALID_PARAMS', `no such satellite is registered at ${caller.address}; relay.get_satellites lists them`);
}

function byToken(token: Value | undefined, caller: Caller, { satellites, rejections }: SatelliteMethods): Sender {
  const sender = typeof token === 'string' ? satellites.byToken(token, caller.address) : undefined;
  if (sender) return sender;
  rejections.wrongToken(caller);
  throw new RelayError('NOT_AUTHENTICATED', 'the token names no satellite at your address; relay.register answers a new one');
}
